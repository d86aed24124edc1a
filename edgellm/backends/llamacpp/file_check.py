"""Tells whether a GGUF file can be what it claims before native code, which aborts on some damage, sees it."""

from __future__ import annotations

import mmap
import stat
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from edgellm.backends.llamacpp import hyperparameters
from edgellm.backends.llamacpp.cursor import Cursor, Damaged
from edgellm.errors import LoadError, ModelNotFound, NotAModel, UnsupportedModel

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SMALLEST = 24
_KEYS, _TENSORS, _ELEMENTS, _KEY_BYTES, _TEXT_BYTES = 2**16, 2**17, 2**26, 2**16, 2**24
_KEPT_ELEMENTS = 1024  # long enough for one value a layer
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_SCALARS = {
    number: struct.Struct("<" + form)
    for number, form in ((0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"), (6, "f"), (7, "B"))
} | {10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d")}

# ggml's number formats: elements and bytes of a block, by type number. Numbers that are missing were withdrawn.
_BLOCKS = (
    {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)}
    | {10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)}
    | {16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)}
    | {23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)}
    | {34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18)}
)


@dataclass(slots=True)
class Facts:
    """What a sound header says. `values` holds scalars, and arrays of at most 1024 numbers as tuples.

    `heads` are the tensors that make scores of hidden states.
    """

    version: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    heads: frozenset[bytes] = frozenset()

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))


def check(path: Path) -> Facts:
    """Raises ModelNotFound, NotAModel or UnsupportedModel, each with path and reason; LoadError if unreadable."""
    size = _size(path)
    try:
        with path.open("rb") as file:
            _check_magic(path, file.read(len(_MAGIC)), size)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _facts(path, Cursor(data))
    except OSError as error:
        raise LoadError(f"cannot read {path}: {error.strerror or error}. Check its permissions.") from error


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelNotFound(f"there is no model file {path}. Check the path, or download the model.") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"cannot read {path}: {error}. Check the path and its permissions.") from error
    if not stat.S_ISREG(status.st_mode):
        raise NotAModel(f"{path} is not a file. Name a GGUF file.")
    return status.st_size


def _check_magic(path: Path, magic: bytes, size: int) -> None:
    if magic != _MAGIC:
        raise NotAModel(f"{path} is not a GGUF file: it starts with {magic!r}. Name a GGUF file, or convert this one.")
    if size < _SMALLEST:
        raise NotAModel(f"{path} is cut off after {size} bytes. Download it again.")


def _facts(path: Path, cursor: Cursor) -> Facts:
    cursor.skip(len(_MAGIC))
    version = cursor.u32()
    if version not in _VERSIONS:
        raise UnsupportedModel(f"{path} is {_version_words(version)}. Get a file of GGUF version 3, or update edgellm.")
    facts = Facts(version)
    try:
        tensors = cursor.count(24, _TENSORS, "tensors")
        for _ in range(cursor.count(13, _KEYS, "settings")):
            _read_value(cursor, facts)
        names = _check_tensors(cursor, tensors, _alignment(facts))
        facts.heads = frozenset(name for name in names if name.startswith(b"cls."))
        hyperparameters.check(facts.architecture, facts.values, facts.lengths)
    except Damaged as reason:
        raise NotAModel(f"{path} is damaged: {reason}. Download it again.") from None
    except hyperparameters.Unknown as reason:
        raise UnsupportedModel(f"{path} cannot be run: {reason}. Update edgellm, or choose another model.") from None
    return facts


def _version_words(version: int) -> str:
    if version & 0xFFFF == 0:
        return "a big-endian GGUF file"
    return f"of GGUF version {version}, which this build cannot read"


def _read_value(cursor: Cursor, facts: Facts) -> None:
    key = cursor.text(_KEY_BYTES).decode("utf-8", "backslashreplace")
    if not key or key in facts.values or key in facts.lengths:
        raise Damaged(f"the setting {key!r} stands there twice" if key else "a setting has no name")
    kind = cursor.u32()
    if kind == _ARRAY:
        _read_array(cursor, facts, key)
    elif kind == _TEXT:
        facts.values[key] = cursor.text(_TEXT_BYTES).decode("utf-8", "replace")
    elif kind in _SCALARS:
        facts.values[key] = cursor.unpack(_SCALARS[kind])
    else:
        raise Damaged(f"the setting {key!r} is of unknown type {kind}")


def _read_array(cursor: Cursor, facts: Facts, key: str) -> None:
    kind = cursor.u32()
    if kind != _TEXT and kind not in _SCALARS:
        raise Damaged(f"the list {key!r} is of unknown type {kind}")
    width = 8 if kind == _TEXT else _SCALARS[kind].size
    length = facts.lengths[key] = cursor.count(width, _ELEMENTS, f"entries in {key!r}")
    if kind == _TEXT:
        _read_texts(cursor, key, length)
        return
    start = cursor.skip(width * length)
    if length <= _KEPT_ELEMENTS:
        form = struct.Struct(f"<{length}{_SCALARS[kind].format[-1]}")
        facts.values[key] = form.unpack_from(cursor.data, start)


def _read_texts(cursor: Cursor, key: str, length: int) -> None:
    if key != "tokenizer.ggml.tokens":
        cursor.skip_texts(length)
        return
    # The library takes them as C strings, gives empty ones a name, and aborts when two are equal then.
    texts = [text.partition(b"\0")[0] if b"\0" in text else text for text in cursor.texts(length)]
    if len({text or b"[EMPTY_%d]" % index for index, text in enumerate(texts)}) != length:
        raise Damaged("two tokens of its vocabulary are equal")


def _alignment(facts: Facts) -> int:
    alignment = facts.values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1) or alignment > 2**20:
        raise Damaged(f"its alignment is {alignment!r}")
    return alignment


def _check_tensors(cursor: Cursor, count: int, alignment: int) -> set[bytes]:
    """The tensors' names. Every tensor's data must lie within the file, one after the other."""
    names: set[bytes] = set()
    expected = 0
    for _ in range(count):
        name, size, offset = _read_tensor(cursor)
        if name in names:
            raise Damaged(f"the tensor {_shown(name)} stands there twice")
        if offset != expected:
            raise Damaged(f"the tensor {_shown(name)} is not where the one before it ends")
        names.add(name)
        expected = offset + _padded(size, alignment)
        last = offset + size
    if count == 0:
        raise Damaged("it holds no weights")
    needed = _padded(cursor.at, alignment) + last
    if needed > cursor.end:
        raise Damaged(f"it is cut off at {cursor.end:,} of {needed:,} bytes")
    return names


def _read_tensor(cursor: Cursor) -> tuple[bytes, int, int]:
    """Name, bytes of data, and offset in the data section."""
    name = cursor.text(63)
    dimensions = cursor.u32()
    if dimensions > 4:
        raise Damaged(f"the tensor {_shown(name)} has {dimensions} dimensions")
    shape = [cursor.u64() for _ in range(dimensions)]
    kind = cursor.u32()
    if kind not in _BLOCKS:
        raise hyperparameters.Unknown(f"the tensor {_shown(name)} has the number format {kind}")
    elements, size = _BLOCKS[kind]
    if 0 in shape or prod(shape) >= 2**63 or (shape or [1])[0] % elements:
        raise Damaged(f"the tensor {_shown(name)} has the shape {shape}")
    return name, prod(shape) // elements * size, cursor.u64()


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))
