"""One wheel or source package by its file: name, version, where it runs, and what it requires."""

from __future__ import annotations

import tarfile
import zipfile
from email.parser import BytesHeaderParser
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from edgellm.errors import DownloadError

LARGEST_METADATA = 16 << 20


class PackageFile(msgspec.Struct, frozen=True):
    """`name` is in its canonical form; `tags` are those of `packaging`, empty for a source package."""

    path: Path
    name: str
    version: Version
    tags: frozenset[object]

    @property
    def is_source(self) -> bool:
        return not self.tags

    def requires(self) -> list[Requirement]:
        """What its metadata requires, markers and extras included."""
        data = _source_metadata(self.path) if self.is_source else _wheel_metadata(self.path)
        headers = BytesHeaderParser().parsebytes(data)
        return [Requirement(line) for line in headers.get_all("Requires-Dist", [])]

    def build_requires(self) -> list[Requirement]:
        """What a source package needs while it is built."""
        import tomllib

        try:
            project = tomllib.loads(_source_member(self.path, "pyproject.toml").decode())
            return [Requirement(line) for line in project["build-system"]["requires"]]
        except (KeyError, ValueError) as error:
            raise _damaged(self.path, error) from error


def read(path: Path) -> PackageFile | None:
    """What the name of the file says; None for a file that is no package."""
    try:
        if path.suffix == ".whl":
            name, version, _, tags = parse_wheel_filename(path.name)
            return PackageFile(path, name, version, frozenset(tags))
        name, version = parse_sdist_filename(path.name)
        return PackageFile(path, name, version, frozenset())
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def listed(folder: Path) -> list[PackageFile]:
    """The packages in a directory, by name."""
    return [package for path in sorted(folder.iterdir()) if (package := read(path)) is not None]


def canonical(name: str) -> str:
    return canonicalize_name(name)


def _wheel_metadata(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
            ]
            with archive.open(names[0]) as file:
                return file.read(LARGEST_METADATA)
    except (IndexError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _source_metadata(path: Path) -> bytes:
    return _source_member(path, "PKG-INFO")


def _source_member(path: Path, name: str) -> bytes:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                top = archive.namelist()[0].split("/")[0]
                return archive.read(f"{top}/{name}")
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith(f"/{name}") and member.isreg():
                    file = archive.extractfile(member)
                    assert file is not None
                    return file.read(LARGEST_METADATA)
        raise KeyError(name)
    except (KeyError, IndexError, OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DownloadError:
    return DownloadError(f"the package {path.name} is damaged or of an unknown kind ({error}). Try again.")
