"""Receives a file from another place in the file system: a folder, a drive, a share."""

from __future__ import annotations

from pathlib import Path

from edgellm.download import space
from edgellm.download.partial import Partial
from edgellm.download.remote import CHUNK, Remote
from edgellm.download.watch import Watch
from edgellm.errors import DownloadError, NotAtSource


def remote(path: Path, name: str, *, size: int | None = None, sha256: str = "") -> Remote:
    """The file at `path`; its size is looked up where nobody has promised one. Raises NotAtSource."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise NotAtSource(f"cannot read {path}: {error.strerror or error}. Is the drive there?") from error
    return Remote(url=str(path), name=name, size=found if size is None else size, sha256=sha256)


def receive(path: Path, partial: Partial, watch: Watch) -> None:
    """Fill `partial`, which is open, with what it lacks of the file. Raises DownloadError when that cannot be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotAtSource(f"cannot read {path}: {error.strerror or error}. Is the drive there?") from error
    with file:
        status = path.stat()
        version = f"{status.st_size} {status.st_mtime_ns}"
        if partial.size > status.st_size or (partial.version and partial.version != version) or not partial.size:
            partial.restart(version)
        space.require(partial.path.parent, status.st_size - partial.size)
        file.seek(partial.size)
        while data := _read(path, file.read):
            partial.write(data)
            watch.arrived(partial.size)


def _read(path: Path, read: object) -> bytes:
    assert callable(read)
    try:
        return bytes(read(CHUNK))
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror or error}. Is the drive still there?") from error
