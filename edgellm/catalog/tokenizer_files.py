"""What the tokenizer's files in a model's folder tell: the chat template, and whether it can fill in the middle."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgellm.catalog import json_file
from edgellm.catalog.byte_source import FileBytes
from edgellm.errors import EdgeLLMError

_LARGEST_TEMPLATE, _LARGEST_SETTINGS, _LARGEST_TOKENIZER = 2**21, 2**23, 2**26
_BLOCK, _LONGEST_MARK = 2**20, 64
_FIM = tuple(
    (before.encode(), after.encode())
    for before, after in (
        ('"<|fim_prefix|>"', '"<|fim_suffix|>"'),
        ('"<fim_prefix>"', '"<fim_suffix>"'),
        ('"<fim-prefix>"', '"<fim-suffix>"'),
        ('"<\uff5cfim\u2581begin\uff5c>"', '"<\uff5cfim\u2581hole\uff5c>"'),
        ('"<PRE>"', '"<SUF>"'),
        ('"\u2581<PRE>"', '"\u2581<SUF>"'),
        ('"<|code_prefix|>"', '"<|code_suffix|>"'),
    )
)


class _Named(msgspec.Struct):
    name: str = ""
    template: str = ""


class _Settings(msgspec.Struct):
    chat_template: str | list[_Named] | None = None


def template(folder: Path) -> str | None:
    """The chat template, from its own file or from the tokenizer's settings; None where there is none to be read."""
    own = folder / "chat_template.jinja"
    try:
        if own.is_file():
            with FileBytes(own) as source:
                text = source.read(0, _LARGEST_TEMPLATE).decode("utf-8", "replace")
                return text if source.size <= _LARGEST_TEMPLATE else None
        for name in ("chat_template.json", "tokenizer_config.json"):
            if (folder / name).is_file():
                found = json_file.read(folder / name, _Settings, _LARGEST_SETTINGS).chat_template
                if found:
                    return _default(found)
    except EdgeLLMError:  # the weights can be judged without it; whoever loads the model will say what is wrong
        return None
    return None


def _default(found: str | list[_Named]) -> str | None:
    if isinstance(found, str):
        return found
    named = {entry.name: entry.template for entry in found}
    return named.get("default") or next(iter(named.values()), None)


def fills_in(folder: Path) -> bool:
    """Whether the vocabulary has tokens for filling in the middle."""
    wanted = [mark for pair in _FIM for mark in pair]
    for name in ("tokenizer_config.json", "tokenizer.json", "vocab.json"):
        if (folder / name).is_file():
            found = _marks(folder / name, wanted)
            if any(found.issuperset(pair) for pair in _FIM):
                return True
    return False


def _marks(path: Path, wanted: list[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    try:
        with FileBytes(path) as source:
            for start in range(0, min(source.size, _LARGEST_TOKENIZER), _BLOCK):
                block = source.read(start, _BLOCK + _LONGEST_MARK)
                found.update(mark for mark in wanted if mark in block)
    except EdgeLLMError:
        return set()
    return found


def bytes_in(folder: Path) -> int:
    """Bytes of all files right in `folder`."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
