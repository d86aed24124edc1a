"""A wheel of the edgellm that runs now: built from its source tree, or packed again from where it is installed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from edgellm.download.bundle import pip_process
from edgellm.errors import DownloadError

PACKAGE = "edgellm"
# What an installer writes beside the files of a wheel.
_INSTALLERS = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}


def build(folder: Path) -> Path:
    """The wheel, put into `folder`. Raises DownloadError."""
    distribution = importlib.metadata.distribution(PACKAGE)
    tree = source_tree(distribution)
    return _from_source(tree, folder) if tree is not None else pack(distribution, folder)


def source_tree(distribution: importlib.metadata.Distribution) -> Path | None:
    """The directory that an editable installation runs from."""
    try:
        found = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not found.get("dir_info", {}).get("editable"):
        return None
    tree = Path(url2pathname(urlsplit(found["url"]).path))
    return tree if (tree / "pyproject.toml").is_file() else None


def _from_source(tree: Path, folder: Path) -> Path:
    words = ["wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", str(folder), str(tree)]
    code, said = pip_process.run(words)
    wheel = next(folder.glob(f"{PACKAGE}-*.whl"), None)
    if code != 0 or wheel is None:
        raise DownloadError(f"edgellm's own wheel could not be built from {tree}: {pip_process.reason(said)}.")
    return wheel


def pack(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    """The installed files of a pure Python package as the wheel they came from."""
    files = {path: place for path, place in _installed(distribution) if place.is_file()}
    info = next((path.parts[0] for path in files if path.name == "WHEEL"), None)
    if info is None:
        raise DownloadError(f"this installation of {distribution.name} has lost its metadata. Install it again.")
    wheel = folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
    record = PurePosixPath(info, "RECORD")
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, place in files.items():
            data = place.read_bytes()
            archive.writestr(str(path), data)
            lines.append(f"{path},sha256={_record_sum(data)},{len(data)}")
        archive.writestr(str(record), "\n".join([*lines, f"{record},,", ""]))
    return wheel


def _installed(distribution: importlib.metadata.Distribution) -> list[tuple[PurePosixPath, Path]]:
    """Paths in the wheel, and where the files are; commands are left out, for they are made when it is installed."""
    return [
        (PurePosixPath(path), Path(str(distribution.locate_file(path))))
        for path in sorted(distribution.files or [])
        if ".." not in path.parts
        and "__pycache__" not in path.parts
        and not (path.parts[0].endswith(".dist-info") and path.name in _INSTALLERS)
    ]


def _record_sum(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
