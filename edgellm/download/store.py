"""Where each model's file lies, and how it gets there: one writer at a time, checked, and complete or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgellm import paths
from edgellm.catalog.catalog import Entry
from edgellm.download import space, stamp
from edgellm.download.report import VERIFYING, WAITING, Report, silent, size
from edgellm.errors import ChecksumMismatch, DownloadError

CHUNK = 1 << 20


class Store:
    """Model files below `root` (by default the user's models directory), one directory a model."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or paths.models_dir()

    def path(self, entry: Entry) -> Path:
        return self.root / entry.name / entry.file

    def staging(self, entry: Entry) -> Path:
        """Where a transfer keeps its parts until the model is installed."""
        return self.root / entry.name / ".staging"

    def is_present(self, entry: Entry) -> bool:
        """Whether the file is there in its full size; the sum was checked when it was installed."""
        try:
            return self.path(entry).stat().st_size == entry.bytes
        except OSError:
            return False

    def is_verified(self, entry: Entry, report: Report = silent) -> bool:
        """Whether the file is there and has the right sum, which is computed again only if the file changed."""
        path = self.path(entry)
        if not self.is_present(entry):
            return False
        if stamp.holds(path, entry.sha256):
            return True
        if checksum(path, report, entry.name) != entry.sha256:
            return False
        stamp.put(path, entry.sha256)
        return True

    @contextmanager
    def lock(self, entry: Entry, report: Report = silent) -> Iterator[None]:
        """Hold the right to write this model; waits while another process has it."""
        import filelock

        directory = self.path(entry).parent
        with space.writing(directory, 0):
            directory.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(directory / ".lock")
            while not lock.is_locked:
                with suppress(filelock.Timeout):
                    lock.acquire(timeout=0.5)
                if not lock.is_locked:
                    report(f"{WAITING} {entry.name}", 0, 0)
        try:
            yield
        finally:
            lock.release()

    def clean(self, entry: Entry, *, parts: bool) -> None:
        """Remove what a transfer left behind, its finished `parts` too if asked. Call with the lock held."""
        self._partial(entry).unlink(missing_ok=True)
        staging = self.staging(entry)
        if parts:
            shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):
            staging.rmdir()

    def install(self, entry: Entry, write: Callable[[Incoming], None]) -> Path:
        """Give `write` a file to fill; put it in place if size and sum are right. Call with the lock held.

        Raises ChecksumMismatch, or DownloadError when the disk refuses. Nothing is left behind then.
        """
        partial, target = self._partial(entry), self.path(entry)
        try:
            with space.writing(target.parent, entry.bytes), partial.open("wb") as file:
                incoming = Incoming(file.write, entry.bytes)
                write(incoming)
                file.flush()
                os.fsync(file.fileno())
            incoming.check(entry)
            with space.writing(target.parent, entry.bytes):
                partial.replace(target)
                stamp.put(target, entry.sha256)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target

    def _partial(self, entry: Entry) -> Path:
        path = self.path(entry)
        return path.with_name(path.name + ".partial")


class Incoming:
    """A model file on its way to the disk: counts and hashes what is written, and stops what grows too long."""

    def __init__(self, write: Callable[[bytes], int], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise ChecksumMismatch(f"more data came than the {size(self._limit)} promised. Nothing was installed.")
        self._hash.update(data)
        self._write(data)

    def check(self, entry: Entry) -> None:
        """Raises ChecksumMismatch when this is not the file that `entry` promises."""
        if self.size != entry.bytes:
            raise ChecksumMismatch(
                f"{entry.name} came with {self.size:,} bytes instead of {entry.bytes:,}. "
                "Nothing was installed; try again."
            )
        if self._hash.hexdigest() != entry.sha256:
            raise ChecksumMismatch(
                f"{entry.name} came with sha256 {self._hash.hexdigest()} instead of {entry.sha256}. "
                "Nothing was installed. Try again; if it happens twice, the source was changed and must not be trusted."
            )


def checksum(path: Path, report: Report = silent, name: str = "") -> str:
    """The sha256 of a file, in hexadecimal. Raises DownloadError when it cannot be read."""
    label = f"{VERIFYING} {name or path.name}"
    digest, done = hashlib.sha256(), 0
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
                done += len(data)
                report(label, done, total)
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()
