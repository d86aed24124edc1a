"""Writes GGUF headers of any kind, sound or not; the weights are a hole in the file."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from edgellm.catalog.gguf_types import TENSOR_TYPES

U32, I32, F32, BOOL, TEXT, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def setting(key: str, value: Any) -> bytes:
    """One setting with the type that its Python value suggests."""
    kind, data = _value(value)
    return text(key) + struct.pack("<I", kind) + data


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return BOOL, struct.pack("<?", value)
        case int():
            return U32, struct.pack("<I", value)
        case float():
            return F32, struct.pack("<f", value)
        case str():
            return TEXT, text(value)
        case _:
            kinds = [_value(item) for item in value] or [(U32, b"")]
            return ARRAY, struct.pack("<IQ", kinds[0][0], len(value)) + b"".join(data for _, data in kinds)


def tensor(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def header(settings: Sequence[bytes], tensors: Sequence[bytes], version: int = 3) -> bytes:
    counts = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(settings))
    return counts + b"".join(settings) + b"".join(tensors)


def write(
    path: Path,
    settings: Mapping[str, Any],
    tensors: Mapping[str, tuple[Sequence[int], str]],
    version: int = 3,
) -> Path:
    """A sound file: `tensors` gives shape and type by name. Its weights are zeros that take no disk."""
    listed, offset = [], 0
    for name, (shape, kind) in tensors.items():
        number = _NUMBERS[kind]
        listed.append(tensor(name, shape, number, offset))
        offset += -(-prod(shape) // TENSOR_TYPES[number].elements * TENSOR_TYPES[number].bytes // 32) * 32
    data = header([setting(key, value) for key, value in settings.items()], listed, version)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(-(-len(data) // 32) * 32 + offset)
    return path
