"""A file that is arriving: it only ever grows, is hashed as it grows, and a kill at any byte leaves what has come."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgellm.download.remote import CHUNK
from edgellm.download.watch import Watch


class Partial:
    """The file at `path`, open for adding; a context manager that one thread uses.

    Where no sum will tell in the end whether all of it came from one version of the source, it is `noted` beside the
    file which version that is.
    """

    def __init__(self, path: Path, *, noted: bool) -> None:
        self.path = path
        self.size = 0
        self._noted = noted
        self._note = path.with_name(path.name + ".version")
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None

    def open(self, watch: Watch) -> Partial:
        """Open it, and take what is there into the sum."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        with self.path.open("rb") as before:
            while data := before.read(CHUNK):
                self._digest.update(data)
                self.size += len(data)
                watch.say("reading what has come already")  # no bytes that arrive, which would look like speed
        watch.arrived(self.size)
        if self._noted and self.size and not self.version:
            self.restart()  # nobody could tell whether what comes next belongs to it
        return self

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def version(self) -> str:
        """The validator (a strong ETag, or the time of the last change) of what this is a part of; empty if unknown."""
        try:
            return self._note.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def write(self, data: bytes) -> None:
        assert self._file is not None, "not open"
        left = memoryview(data)
        while left:  # an unbuffered file may take less than it is given
            left = left[self._file.write(left) :]
        self._digest.update(data)
        self.size += len(data)

    def restart(self, version: str = "") -> None:
        """Forget what has come; what comes now is `version`."""
        assert self._file is not None, "not open"
        self._file.truncate(0)
        self._digest, self.size = hashlib.sha256(), 0
        if self._noted:
            self._note.unlink(missing_ok=True)
        if version and self._noted:
            self._note.write_text(version, encoding="utf-8")

    def install(self, target: Path) -> None:
        """Give the finished file its place, whole; it is on the disk before it has the name."""
        assert self._file is not None, "not open"
        os.fsync(self._file.fileno())
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        self.close()
        for path in (self.path, self._note):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
