"""One model in several GGUF files, `NAME-00001-of-000NN.gguf`: their names, and their headers as one header.

Source: llama.cpp's gguf-split; the first file holds the settings, every file its own tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from edgellm.catalog.byte_source import ByteSource
from edgellm.catalog.gguf import Header, Tensor, read_header
from edgellm.errors import NotAModel

Opener = Callable[[str], AbstractContextManager[ByteSource]]

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)\Z", re.IGNORECASE | re.DOTALL)
_MOST_PARTS, _MOST_TENSORS = 512, 2**16


def part_names(name: str) -> tuple[str, ...]:
    """The names of all parts when `name` is that of one part, else `name` alone. `name` may be a path."""
    found = _PART.match(name)
    if found is None or not 1 <= int(found["number"]) <= int(found["count"]) <= _MOST_PARTS:
        return (name,)
    count = int(found["count"])
    return tuple(f"{found['stem']}-{number:05d}-of-{count:05d}{found['end']}" for number in range(1, count + 1))


def read_all(name: str, opened: Opener, wanted: frozenset[bytes] = frozenset()) -> Header:
    """The header of `name`, or of all the parts it is one of, each opened with `opened`. Raises as `read_header` does.

    Tensors of a later part keep the offset that they have in their own file.
    """
    names = part_names(name)
    with opened(names[0]) as source:
        first = read_header(source, wanted)
    count = first.number("split.count", 1)
    if max(count, 1) != len(names):
        raise NotAModel(f"{first.name} is one of {count} parts, but is not named so. Give it its own name back.")
    tensors = {tensor.name: tensor for tensor in first.tensors}
    file_bytes = first.file_bytes
    for index, part_name in enumerate(names[1:], 1):
        with opened(part_name) as source:
            part = read_header(source)
        if part.number("split.no", -1) != index or part.number("split.count") != count:
            raise NotAModel(f"{part.name} is not part {index + 1} of {count}. Download it again.")
        _add(tensors, part)
        file_bytes += part.file_bytes
    _check_all(first, len(tensors))
    return msgspec.structs.replace(first, tensors=tuple(tensors.values()), file_bytes=file_bytes)


def _add(tensors: dict[str, Tensor], part: Header) -> None:
    for tensor in part.tensors:
        if tensor.name in tensors or len(tensors) >= _MOST_TENSORS:
            raise NotAModel(f"{part.name} is damaged: {tensor.name!r} is not its own. Download it again.")
        tensors[tensor.name] = tensor


def _check_all(first: Header, found: int) -> None:
    promised = first.number("split.tensors.count", found)
    if found == 0:
        raise NotAModel(f"{first.name} is damaged: it holds no weights. Download it again.")
    if promised != found:
        raise NotAModel(f"{first.name} has {found:,} tensors of {promised:,} in all its parts. Download them again.")
