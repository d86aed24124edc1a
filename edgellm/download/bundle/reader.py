"""Opens a bundle wherever it is, a directory or an archive, and trusts none of it."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from edgellm.download.bundle.installer import Contents, Folder, Refused
from edgellm.errors import ChecksumMismatch, DownloadError

MOST_FILES = 100_000
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, RuntimeError)


class Members:
    """The files of an archive, their paths taken from below its one top directory."""

    def __init__(self, sizes: Mapping[str, int], open_member: Callable[[str], IO[bytes] | None]) -> None:
        self._names = {_below(name): name for name in sizes}
        if len(self._names) != len(sizes):
            raise Refused("the archive has two files of one name. Do not use this bundle.", changed=True)
        if len({name.split("/")[0] for name in sizes}) > 1:
            raise Refused("the archive has more than one directory at its top, which no bundle has.")
        self.sizes = {_below(name): size for name, size in sizes.items()}
        self._open = open_member

    def open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._open(self._names[name]))


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """The contents of the bundle at `path`, not yet checked. What is wrong with it, inside the block, is raised as
    DownloadError, or ChecksumMismatch if it was altered."""
    try:
        if path.is_dir():
            yield Folder(path)
        elif not path.exists():
            raise Refused(f"there is no bundle at {path}. Check the path.")
        elif _is_zip(path):
            with zipfile.ZipFile(path) as archive:
                yield Members(_zip_sizes(archive), archive.open)
        else:
            with tarfile.open(path, "r:") as tar:
                yield Members(_tar_sizes(tar), tar.extractfile)
    except Refused as error:
        raise (ChecksumMismatch if error.changed else DownloadError)(str(error)) from None
    except BrokenPipeError:  # whoever watches the progress is gone, which is not the bundle's fault
        raise
    except OSError as error:
        raise DownloadError(f"cannot read {error.filename or path}: {error.strerror or error}.") from error
    except _DAMAGED as error:
        raise DownloadError(f"{path} is damaged, cut off or no bundle ({error}). Copy it again.") from error


def _is_zip(path: Path) -> bool:
    """By how it begins: a tar with wheels, which are zips, at its end would be taken for one by how it ends."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _tar_sizes(tar: tarfile.TarFile) -> dict[str, int]:
    return _sizes((member.name, member.size, member.isdir(), member.isreg()) for member in tar)


def _zip_sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    return _sizes(
        (member.filename, member.file_size, member.is_dir(), _is_plain(member)) for member in archive.infolist()
    )


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """Neither a link or device, as the system that packed it says, nor encrypted."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind in (0, stat.S_IFREG) and not member.flag_bits & 1


def _sizes(members: Iterable[tuple[str, int, bool, bool]]) -> dict[str, int]:
    """Sizes by names, from (name, size, is directory, is plain file)."""
    found: dict[str, int] = {}
    for name, size, is_directory, is_plain in members:
        if is_directory:
            continue
        if not is_plain:
            raise Refused(f"{name[:100]!r} in the archive is a link or no file at all. Do not use this bundle.", True)
        if name in found or len(found) >= MOST_FILES:
            raise Refused(f"the archive has {name[:100]!r} twice, or too many files. Do not use this bundle.", True)
        found[name] = size
    return found


def _below(name: str) -> str:
    return name.partition("/")[2]
