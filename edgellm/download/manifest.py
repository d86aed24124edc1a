"""What is kept of a fetched model beside its files: whence they came, where they lie, and their sums."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from edgellm.download import space

NAME = "manifest.json"
COMING = "coming.json"
"""The manifest of a transfer that has not ended."""

Origin = Literal["hub", "url", "file", "package"]
Sums = Literal["source", "catalog", "first use"]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model on this machine.

    `sum` is its sha256 (64 digits), or git's name for its content (40); empty where nobody knows one. `size` and
    `mtime_ns` are those of the file when it last had it; a file that looks otherwise is read again. `owned` unless
    another tool brought it, which may want to keep it.
    """

    file: str
    path: str
    size: int
    mtime_ns: int
    sum: str
    owned: bool = True

    @property
    def is_present(self) -> bool:
        try:
            return Path(self.path).stat().st_size == self.size
        except OSError:
            return False

    @property
    def is_untouched(self) -> bool:
        """Whether the file is, by size and time, still the one that had this sum."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One model on this machine; `reference` is what a person may write to mean it.

    `sums` tells whose word the sums are: the source's own, those of the catalog, or, where nobody has published any,
    those that the file had when it first came.
    """

    reference: str
    folder: str
    origin: Origin
    source: str
    quantization: str = ""
    format: str = "gguf"
    revision: str = ""
    commit: str = ""
    sums: Sums = "source"
    files: tuple[Held, ...]
    fetched_at: float

    @property
    def is_present(self) -> bool:
        """Whether every file is here in its full size."""
        return bool(self.files) and all(held.is_present for held in self.files)

    @property
    def bytes(self) -> int:
        return sum(held.size for held in self.files)

    @property
    def path(self) -> Path:
        """What a backend loads: the GGUF file, the first of its splits, or the folder that holds the files."""
        first = Path(self.files[0].path)
        if self.format == "gguf":
            return first
        # A repository may hold several models, each in a folder of its own.
        inside = PurePosixPath(posixpath.commonpath([held.file for held in self.files]))
        depth = len(inside.parts) - (len(self.files) == 1)
        return first.parents[self.files[0].file.count("/") - depth]


def held(file: str, path: Path, sum: str, *, owned: bool = True) -> Held:
    """`path` as it is now, whose sum is known to be this."""
    status = path.stat()
    return Held(file=file, path=str(path), size=status.st_size, mtime_ns=status.st_mtime_ns, sum=sum, owned=owned)


def read(directory: Path, name: str = NAME) -> Manifest | None:
    """The manifest in `directory`; None if there is none or it is damaged."""
    try:
        return msgspec.json.decode((directory / name).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def write(directory: Path, manifest: Manifest, name: str = NAME) -> None:
    """Put `manifest` in place, whole. Raises DownloadError when the disk refuses."""
    with space.writing(directory, 0):
        directory.mkdir(parents=True, exist_ok=True)
        new = directory / f"{name}.{os.getpid()}.tmp"
        new.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        new.replace(directory / name)
