"""Builds wheels and source packages with requirements and tags, for a directory that pip uses as its only index."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# A build backend of its own, so that nothing need be fetched to read the metadata.
_BACKEND = """
import pathlib

METADATA = pathlib.Path(__file__).with_name("PKG-INFO").read_text()

def prepare_metadata_for_build_wheel(directory, settings=None):
    info = pathlib.Path(directory, "INFO.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    return info.name

def build_wheel(directory, settings=None, metadata_directory=None):
    raise SystemExit("only its metadata is wanted here")
"""


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
    scripts: str = "",
) -> Path:
    """A wheel; `scripts` are the lines of its console scripts."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    path = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in (files if files is not None else {f"{module}/__init__.py": ""}).items():
            archive.writestr(place, text)
        archive.writestr(f"{info}/METADATA", metadata(name, version, requires))
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        if scripts:
            archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{scripts}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def source(folder: Path, name: str, version: str = "1.0", *, requires: Sequence[str] = ()) -> Path:
    """A source package whose metadata pip can prepare; it is never built."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}.tar.gz"
    members = {
        "PKG-INFO": metadata(name, version, requires),
        "backend.py": _BACKEND.replace("INFO.dist-info", f"{module}-{version}.dist-info"),
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n',
    }
    with tarfile.open(path, "w:gz") as archive:
        for member, text in members.items():
            info = tarfile.TarInfo(f"{module}-{version}/{member}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def metadata(name: str, version: str, requires: Sequence[str]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires), "", ""])
