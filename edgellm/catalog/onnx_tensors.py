"""Reads which tensors an ONNX model has, and how many bytes each, stepping over their data.

Source: onnx.proto (ModelProto.graph, GraphProto.initializer, TensorProto) and the protobuf wire format.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

from edgellm.errors import LoadError, NotAModel

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _FLOATS, _INTS, _LONGS, _NAME, _RAW, _DOUBLES, _WORDS, _EXTERNAL = 1, 2, 4, 5, 7, 8, 9, 10, 11, 13
_KEY, _VALUE = 1, 2
_MOST_TENSORS, _MOST_FIELDS, _LONGEST_NAME = 2**16, 2**21, 2**10
_TYPES = {
    1: "F32",
    2: "U8",
    3: "I8",
    5: "I16",
    6: "I32",
    7: "I64",
    10: "F16",
    11: "F64",
    16: "BF16",
    21: "U4",
    22: "I4",
}


class OnnxTensor(NamedTuple):
    name: str
    type: str
    elements: int
    bytes: int


class _Damaged(Exception):
    pass


class _Field(NamedTuple):
    """`value` of a varint field; else its bytes lie from `start` to `end`."""

    number: int
    kind: int
    value: int
    start: int
    end: int


def read(path: Path) -> tuple[OnnxTensor, ...]:
    """The initializers of the graph in `path`. Raises NotAModel or LoadError."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return tuple(_tensors(data))
    except (_Damaged, ValueError) as error:  # ValueError: an empty file
        raise NotAModel(f"{path} is damaged: {error}. Download it again.") from None
    except OSError as error:
        raise LoadError(f"cannot read {path}: {error.strerror or error}. Check its permissions.") from error


def _tensors(data: mmap.mmap) -> Iterator[OnnxTensor]:
    count = 0
    for graph in _fields(data, 0, len(data)):
        if graph.number != _GRAPH or graph.kind != _BYTES:
            continue
        for field in _fields(data, graph.start, graph.end):
            if field.number == _INITIALIZER and field.kind == _BYTES:
                count += 1
                if count > _MOST_TENSORS:
                    raise _Damaged("it has more tensors than any model")
                yield _tensor(data, field)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[_Field]:
    """The fields of the message that lies from `at` to `end`."""
    for _ in range(_MOST_FIELDS):
        if at >= end:
            return
        tag, at = _varint(data, at, end)
        kind, value, start = tag & 7, 0, at
        if kind == _VARINT:
            value, at = _varint(data, at, end)
        elif kind == _BYTES:
            size, start = _varint(data, at, end)
            at = start + size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise _Damaged(f"a field of unknown kind {kind}")
        if at > end:
            raise _Damaged("a field is longer than what holds it")
        yield _Field(tag >> 3, kind, value, start, at)
    raise _Damaged("it has more fields than any model")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Damaged("a number does not end")


def _tensor(data: mmap.mmap, message: _Field) -> OnnxTensor:
    shape: list[int] = []
    name, kind, stored, external = "", 0, 0, None
    for field in _fields(data, message.start, message.end):
        if field.number == _DIMS:
            shape += _numbers(data, field)
        elif field.number == _TYPE:
            kind = field.value
        elif field.number == _NAME:
            name = data[field.start : min(field.end, field.start + _LONGEST_NAME)].decode("utf-8", "replace")
        elif field.number in (_RAW, _FLOATS, _INTS, _LONGS, _DOUBLES, _WORDS):
            stored += field.end - field.start
        elif field.number == _EXTERNAL and (length := _external_length(data, field)) is not None:
            external = length
        if len(shape) > 16:
            raise _Damaged(f"the tensor {name!r} has too many dimensions")
    return OnnxTensor(name, _TYPES.get(kind, f"type {kind}"), prod(shape), stored if external is None else external)


def _numbers(data: mmap.mmap, field: _Field) -> list[int]:
    """A repeated number, packed or alone."""
    if field.kind != _BYTES:
        return [field.value]
    found: list[int] = []
    at = field.start
    while at < field.end and len(found) <= 16:
        value, at = _varint(data, at, field.end)
        found.append(value)
    return found


def _external_length(data: mmap.mmap, field: _Field) -> int | None:
    """The `length` entry of where a tensor lies outside; None if this is another entry."""
    entry = {
        part.number: data[part.start : min(part.end, part.start + 32)] for part in _fields(data, field.start, field.end)
    }
    text = entry.get(_VALUE, b"")
    return int(text) if entry.get(_KEY) == b"length" and text.isdigit() else None
