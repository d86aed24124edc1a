"""Remembers the sum that a file at an address had when it first came, where nobody has published one."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edgellm.download import space

NAME = "known-addresses.json"


def known(root: Path, url: str) -> str:
    """The sha256 that `url` gave at first; empty if it was never fetched into the store at `root`."""
    return _read(root).get(url, "")


def remember(root: Path, url: str, sha256: str) -> None:
    """From now on `url` must give this. Raises DownloadError when the disk refuses."""
    with space.writing(root, 0):
        new = root / f"{NAME}.{os.getpid()}.tmp"
        new.write_bytes(msgspec.json.format(msgspec.json.encode(_read(root) | {url: sha256}), indent=2))
        new.replace(root / NAME)


def _read(root: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((root / NAME).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}
