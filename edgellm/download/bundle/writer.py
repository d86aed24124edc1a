"""Writes a bundle file by file into a directory, a .tar or a .zip, and sums what it writes; whole, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from edgellm.download import space
from edgellm.download.bundle.installer import CHUNK
from edgellm.errors import DownloadError


class Summed(msgspec.Struct, frozen=True):
    """A file as the manifest lists it."""

    bytes: int
    sha256: str


class _Sink(Protocol):
    def add(self, name: str, size: int, data: _Counted) -> None: ...


class Writer:
    """Adds files and remembers their sums."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self.files: dict[str, Summed] = {}

    def add(self, name: str, source: Path, report: Callable[[int], None] = lambda count: None) -> Summed:
        """Add the file at `source`; `report` gets its bytes so far. Raises DownloadError when it cannot be read."""
        try:
            stream = source.open("rb")
        except OSError as error:
            raise DownloadError(f"cannot read {source}: {error.strerror or error}.") from error
        with stream:
            return self._add(name, os.fstat(stream.fileno()).st_size, stream, report)

    def add_bytes(self, name: str, data: bytes) -> Summed:
        return self._add(name, len(data), io.BytesIO(data), lambda count: None)

    def _add(self, name: str, size: int, stream: BinaryIO, report: Callable[[int], None]) -> Summed:
        counted = _Counted(stream, report)
        self._sink.add(name, size, counted)
        if counted.count != size:
            raise DownloadError(f"{name} changed while it was read. Try again.")
        self.files[name] = Summed(size, counted.digest.hexdigest())
        return self.files[name]


class _Counted:
    """A stream that sums what is read from it."""

    def __init__(self, stream: BinaryIO, report: Callable[[int], None]) -> None:
        self._stream = stream
        self._report = report
        self.digest = hashlib.sha256()
        self.count = 0

    def read(self, size: int = CHUNK) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        self.count += len(data)
        self._report(self.count)
        return data


class _FolderSink:
    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, name: str, size: int, data: _Counted) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(data, file, CHUNK)


class _TarSink:
    def __init__(self, archive: tarfile.TarFile, top: str) -> None:
        self._archive = archive
        self._top = top

    def add(self, name: str, size: int, data: _Counted) -> None:
        member = tarfile.TarInfo(f"{self._top}/{name}")
        member.size, member.mtime, member.mode = size, int(time.time()), 0o644
        self._archive.addfile(member, data)


class _ZipSink:
    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        self._archive = archive
        self._top = top

    def add(self, name: str, size: int, data: _Counted) -> None:
        member = zipfile.ZipInfo(f"{self._top}/{name}", time.localtime()[:6])
        member.external_attr = 0o100644 << 16
        member.file_size = size
        with self._archive.open(member, "w", force_zip64=size >= 1 << 30) as file:
            shutil.copyfileobj(data, file, CHUNK)


@contextmanager
def writing(out: Path) -> Iterator[Writer]:
    """A writer of the bundle `out`, whose ending tells its kind. It appears when the block has ended well.

    Raises DownloadError when something is there already, or the disk refuses.
    """
    refuse_existing(out)
    making = out.with_name(f".{out.name}.{os.getpid()}.making")
    with space.writing(out.parent, 0):
        try:
            with _sink(making, out) as sink:
                yield Writer(sink)
            refuse_existing(out)
            making.rename(out)
        finally:
            _remove(making)


def refuse_existing(out: Path) -> None:
    """Raises DownloadError when there is something where the bundle shall be, or nowhere to put it."""
    if out.exists() or out.is_symlink():
        raise DownloadError(f"{out} is there already. Remove it, or give the bundle another name.")
    if not out.parent.is_dir():
        raise DownloadError(f"there is no directory {out.parent}. Make it first.")


@contextmanager
def _sink(making: Path, out: Path) -> Iterator[_Sink]:
    match out.suffix.lower():
        case ".tar":
            with making.open("wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    yield _TarSink(tar, out.stem)
                _to_disk(file)
        case ".zip":
            with making.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                    yield _ZipSink(archive, out.stem)
                _to_disk(file)
        case _:
            making.mkdir()
            yield _FolderSink(making)


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _remove(making: Path) -> None:
    if making.is_dir():
        shutil.rmtree(making, ignore_errors=True)
    else:
        making.unlink(missing_ok=True)
