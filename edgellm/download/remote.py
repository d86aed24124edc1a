"""One file somewhere else: where it is, and what is known of it before a byte has come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from edgellm.errors import ChecksumMismatch

CHUNK = 1 << 20
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is what people call it. `size` is None, and sums are empty, where nobody has told them.

    `git_sha1` is how the hub names small files, which it keeps as git does.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str = ""
    git_sha1: str = ""
    headers: Mapping[str, str] = NO_HEADERS

    @property
    def is_verifiable(self) -> bool:
        return bool(self.sha256 or self.git_sha1)


def check(remote: Remote, size: int, sha256: str, path: Path) -> None:
    """Raises ChecksumMismatch when the file at `path`, of this size and sum, is not what `remote` promises."""
    if remote.size is not None and size != remote.size:
        raise ChecksumMismatch(
            f"{remote.name} came with {size:,} bytes instead of {remote.size:,}. Nothing was installed; try again."
        )
    if remote.sha256 and sha256 != remote.sha256:
        raise _wrong(remote.name, f"sha256 {sha256}", remote.sha256)
    if remote.git_sha1 and (found := git_sha1(path)) != remote.git_sha1:
        raise _wrong(remote.name, f"git's sum {found}", remote.git_sha1)


def git_sha1(path: Path) -> str:
    """The name that git gives to a file of this content."""
    digest: Any = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return str(digest.hexdigest())


def _wrong(name: str, found: str, promised: str) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{name} came with {found} instead of {promised}. Nothing was installed. "
        "Try again; if it happens twice, the source was changed and must not be trusted."
    )
