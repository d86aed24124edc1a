"""Reads the header of one GGUF file, versions 2 and 3, and nothing after it: settings, and what tensors there are.

The file may be hostile. Counts and lengths allocate nothing; what is kept is bounded by `_BUDGET` and `_TENSORS`.
Source: the GGUF specification (docs/gguf.md of ggml), and the checks of ggml's own gguf.cpp.
"""

from __future__ import annotations

import struct
from math import prod
from typing import NamedTuple

import msgspec

from edgellm.catalog.byte_source import ByteSource
from edgellm.catalog.gguf_cursor import Damaged, GgufCursor
from edgellm.catalog.gguf_types import TENSOR_TYPES
from edgellm.errors import NotAModel, UnsupportedModel

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_KEYS, _TENSORS, _ELEMENTS, _TEXTS = 2**14, 2**16, 2**28, 2**22
_KEY_BYTES, _TEXT_BYTES, _NAME_BYTES = 2**16, 2**26, 63
_KEPT_TEXT_BYTES = 2**21  # a chat template is far shorter; a whole tokenizer as JSON is stepped over
_KEPT_ELEMENTS = 2**10  # long enough for one value a layer
_BUDGET = 2**24  # bytes, roughly, that all settings may take
_ELEMENT_COST, _KEY_COST = 40, 300
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_SCALARS = {
    number: struct.Struct("<" + form)
    for number, form in enumerate(("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d"))
    if form
}
_TOKENS = "tokenizer.ggml.tokens"

Value = int | float | bool | str | tuple[int | float | bool | str, ...]


class Tensor(NamedTuple):
    """`shape` runs from the fastest dimension, as in the file; `offset` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: int
    offset: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`values` holds scalars, texts, and lists of at most 1024 entries; `lengths` the length of every list.

    `marks` are those of the texts asked for that are in the vocabulary. `end` is where the header ends.
    """

    name: str
    version: int
    values: dict[str, Value]
    lengths: dict[str, int]
    tensors: tuple[Tensor, ...]
    marks: frozenset[bytes]
    end: int
    file_bytes: int

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    def text(self, key: str) -> str:
        """The text of `key`; "" if there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """The whole number of `key`; `default` where there is none that is positive."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


class _Unknown(Exception):
    """Maybe sound, and of a kind we do not know; the message names it."""


class _Settings:
    """What is kept of the settings, and how much more may be."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.lengths: dict[str, int] = {}
        self.marks: set[bytes] = set()
        self._left = _BUDGET

    def spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise Damaged("its settings are larger than those of any model")


def read_header(source: ByteSource, wanted: frozenset[bytes] = frozenset()) -> Header:
    """The header of `source`. `wanted` are tokens to look for in the vocabulary.

    Raises NotAModel (not GGUF, damaged, or cut off) or UnsupportedModel, and what `source.read` raises.
    """
    cursor = GgufCursor(source)
    try:
        version = _version(source, cursor)
        tensors = cursor.count(24, _TENSORS, "tensors")
        settings = _settings(cursor, wanted)
        listed = _tensors(cursor, tensors, _alignment(settings.values), source.size)
    except _Unknown as reason:
        raise UnsupportedModel(
            f"{source.name} cannot be read: {reason}. Update edgellm, or get another file."
        ) from None
    except Damaged as reason:
        raise NotAModel(f"{source.name} is damaged: {reason}. Download it again.") from None
    return Header(
        name=source.name,
        version=version,
        values=settings.values,
        lengths=settings.lengths,
        tensors=tuple(listed),
        marks=frozenset(settings.marks),
        end=cursor.at,
        file_bytes=source.size,
    )


def _version(source: ByteSource, cursor: GgufCursor) -> int:
    magic = cursor.take(len(MAGIC))
    if magic != MAGIC:
        raise NotAModel(f"{source.name} is not a GGUF file: it starts with {magic!r}. Name a GGUF file.")
    version = cursor.u32()
    if version in _VERSIONS:
        return version
    words = "a big-endian GGUF file" if version & 0xFFFF == 0 else f"of GGUF version {version}"
    raise UnsupportedModel(f"{source.name} is {words}. Get a file of GGUF version 3, or update edgellm.")


def _settings(cursor: GgufCursor, wanted: frozenset[bytes]) -> _Settings:
    settings = _Settings()
    for _ in range(cursor.count(13, _KEYS, "settings")):
        key = cursor.text(_KEY_BYTES).decode("utf-8", "backslashreplace")
        if not key or key in settings.values or key in settings.lengths:
            raise Damaged(f"the setting {key[:80]!r} stands there twice" if key else "a setting has no name")
        settings.spend(_KEY_COST + 2 * len(key))
        _read_value(cursor, settings, key, wanted)
    return settings


def _read_value(cursor: GgufCursor, settings: _Settings, key: str, wanted: frozenset[bytes]) -> None:
    kind = cursor.u32()
    if kind == _ARRAY:
        _read_list(cursor, settings, key, wanted)
    elif kind == _TEXT:
        if (text := _text(cursor, settings)) is not None:
            settings.values[key] = text
    elif kind in _SCALARS:
        settings.values[key] = cursor.unpack(_SCALARS[kind])
    else:
        raise Damaged(f"the setting {key[:80]!r} is of unknown type {kind}")


def _text(cursor: GgufCursor, settings: _Settings) -> str | None:
    size = cursor.count(1, _TEXT_BYTES, "bytes of text")
    if size > _KEPT_TEXT_BYTES:
        cursor.skip(size)
        return None
    settings.spend(4 * size)
    return cursor.take(size).decode("utf-8", "replace")


def _read_list(cursor: GgufCursor, settings: _Settings, key: str, wanted: frozenset[bytes]) -> None:
    kind = cursor.u32()
    if kind == _TEXT:
        _read_texts(cursor, settings, key, wanted)
        return
    if kind not in _SCALARS:
        raise Damaged(f"the list {key[:80]!r} is of unknown type {kind}")
    form = _SCALARS[kind]
    length = settings.lengths[key] = cursor.count(form.size, _ELEMENTS, f"entries in {key[:80]!r}")
    if length > _KEPT_ELEMENTS:
        cursor.skip(form.size * length)
        return
    settings.spend(_ELEMENT_COST * length)
    settings.values[key] = struct.unpack(f"<{length}{form.format[-1]}", cursor.take(form.size * length))


def _read_texts(cursor: GgufCursor, settings: _Settings, key: str, wanted: frozenset[bytes]) -> None:
    length = settings.lengths[key] = cursor.count(8, _TEXTS, f"entries in {key[:80]!r}")
    if key == _TOKENS:
        settings.marks |= cursor.scan_texts(length, wanted)
    elif length > _KEPT_ELEMENTS:
        cursor.scan_texts(length, frozenset())
    else:
        settings.spend(_ELEMENT_COST * length)
        texts = [_text(cursor, settings) for _ in range(length)]
        settings.values[key] = tuple(text or "" for text in texts)


def _alignment(values: dict[str, Value]) -> int:
    alignment = values.get("general.alignment", 32)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1) or alignment > 2**20:
        raise Damaged(f"its alignment is {alignment!r}"[:200])
    return alignment


def _tensors(cursor: GgufCursor, count: int, alignment: int, file_bytes: int) -> list[Tensor]:
    """Every tensor's data must lie within the file, one after the other, with offsets from the data section."""
    found: dict[str, Tensor] = {}
    expected = last = 0
    for _ in range(count):
        tensor = _read_tensor(cursor)
        if tensor.name in found:
            raise Damaged(f"the tensor {tensor.name!r} stands there twice")
        if tensor.offset != expected:
            raise Damaged(f"the tensor {tensor.name!r} is not where the one before it ends")
        found[tensor.name] = tensor
        last = tensor.offset + tensor.bytes
        expected = _padded(last, alignment)
    start = _padded(cursor.at, alignment)
    if count and start + last > file_bytes:
        raise Damaged(f"it is cut off at {file_bytes:,} of {start + last:,} bytes")
    return [tensor._replace(offset=start + tensor.offset) for tensor in found.values()]


def _read_tensor(cursor: GgufCursor) -> Tensor:
    """One tensor, its offset still counted from the data section."""
    name = cursor.text(_NAME_BYTES).decode("utf-8", "backslashreplace")
    dimensions = cursor.u32()
    if dimensions > 4:
        raise Damaged(f"the tensor {name!r} has {dimensions} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    number = cursor.u32()
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise _Unknown(f"the tensor {name!r} has the number format {number}, which is none of ggml's")
    elements = prod(shape)
    if elements == 0 or elements >= 2**63 or (shape or (1,))[0] % kind.elements:
        raise Damaged(f"the tensor {name!r} has the shape {list(shape)}")
    return Tensor(name, shape, kind.name, elements // kind.elements * kind.bytes, cursor.u64())


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
