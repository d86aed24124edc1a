"""A small file beside a model that says when its sum was last found right, so that it need not be computed again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec


class Stamp(msgspec.Struct, frozen=True):
    """The file as it was when its sum was right; a file that looks otherwise is checked again."""

    size: int
    mtime_ns: int
    sha256: str


def holds(path: Path, sha256: str) -> bool:
    """Whether `path` is, by size and time, still the file that had this sum."""
    try:
        return msgspec.json.decode(_place(path).read_bytes(), type=Stamp) == _now(path, sha256)
    except (OSError, msgspec.DecodeError):
        return False


def put(path: Path, sha256: str) -> None:
    """Remember that `path` has this sum; where that cannot be written, it is computed again next time."""
    with suppress(OSError):
        _place(path).write_bytes(msgspec.json.encode(_now(path, sha256)))


def _now(path: Path, sha256: str) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns, sha256)


def _place(path: Path) -> Path:
    return path.with_name(path.name + ".verified")
