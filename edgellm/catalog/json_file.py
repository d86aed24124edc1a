"""Decodes a JSON file of a model's folder, never more of it than a settings file can have."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from edgellm.catalog.byte_source import FileBytes
from edgellm.errors import NotAModel

T = TypeVar("T")


def read(path: Path, type_: type[T], limit: int = 2**20) -> T:
    """The content of `path`, at most `limit` bytes. Raises NotAModel, and what opening a `FileBytes` raises."""
    with FileBytes(path) as source:
        if source.size > limit:
            raise NotAModel(f"{path} is damaged: its {source.size:,} bytes are too many. Download it again.")
        return decode(source.read(0, limit), type_, str(path))


def decode(data: bytes, type_: type[T], name: str) -> T:
    """`data` as a `type_`; `name` is for the message. Raises NotAModel."""
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAModel(f"{name} is damaged: {error}. Download it again.") from None
