"""Reads the headers of a folder's safetensors files: which tensors there are, and how many bytes each has.

Source: the format's own description (safetensors, README "Format"): a length, a JSON object, then the data.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgellm.catalog import json_file
from edgellm.catalog.byte_source import FileBytes
from edgellm.errors import NotAModel

_LARGEST_HEADER = 2**23  # thousands of tensors; the format itself allows 100 MB
_MOST_FILES, _MOST_TENSORS = 512, 2**16


class Weight(NamedTuple):
    """`type` is the format's name for it, such as BF16 or U32."""

    name: str
    type: str
    elements: int
    bytes: int


class _Entry(msgspec.Struct):
    """One tensor. `__metadata__` has none of these."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    data_offsets: tuple[int, int] = (0, 0)


def read_folder(folder: Path) -> tuple[Weight, ...]:
    """The tensors of all `*.safetensors` in `folder`. Raises NotAModel, or LoadError where they cannot be read."""
    files = sorted(folder.glob("*.safetensors"))
    if not 0 < len(files) <= _MOST_FILES:
        raise NotAModel(f"the folder {folder} has {len(files)} safetensors files. Download the model again.")
    found: dict[str, Weight] = {}
    for file in files:
        for weight in _read(file):
            if weight.name in found or len(found) >= _MOST_TENSORS:
                raise NotAModel(f"{file} is damaged: {weight.name[:80]!r} is not its own. Download it again.")
            found[weight.name] = weight
    return tuple(found.values())


def _read(file: Path) -> list[Weight]:
    with FileBytes(file) as source:
        start = source.read(0, 8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= size <= min(_LARGEST_HEADER, source.size - 8):
            raise NotAModel(f"{file} is damaged: its header cannot have {size:,} bytes. Download it again.")
        entries = json_file.decode(source.read(8, size), dict[str, _Entry], str(file))
        entries.pop("__metadata__", None)
        _check(file, entries, source.size - 8 - size)
    return [
        Weight(name, entry.dtype, prod(entry.shape), entry.data_offsets[1] - entry.data_offsets[0])
        for name, entry in entries.items()
    ]


def _check(file: Path, entries: dict[str, _Entry], size: int) -> None:
    """Tensors must lie within `size` bytes of data, and not on top of each other."""
    places = sorted((*entry.data_offsets, name) for name, entry in entries.items())
    for begin, end, name in places:
        if not 0 <= begin <= end <= size:
            raise NotAModel(f"{file} is damaged or cut off: {name[:80]!r} is not inside. Download it again.")
    for (_, end, _), (begin, _, name) in pairwise(places):
        if begin < end:
            raise NotAModel(f"{file} is damaged: {name[:80]!r} lies on another tensor. Download it again.")
    if any(size < 0 for entry in entries.values() for size in entry.shape):
        raise NotAModel(f"{file} is damaged: it has a negative size. Download it again.")
