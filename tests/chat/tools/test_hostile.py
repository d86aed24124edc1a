"""No text makes a parser hold much of it unread, which would make it look at the same characters again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgellm.chat.tools.family import FAMILIES, Family
from edgellm.chat.tools.json_text import MOST_DIGITS
from edgellm.chat.tools.parser import ParserContext
from edgellm.chat.tools.reader import MOST_OF_A_WORD, Reader
from edgellm.messages import Tool

TOOLS = (Tool("do", parameters={"type": "object", "properties": {"text": {"type": "string"}, "any": {}}}),)
MANY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
STEP = 40


def hostile(family: Family, size: int) -> Iterator[str]:
    """What begins well and then never ends, or begins again and again."""
    syntax = family.syntax
    begun = syntax.opening + syntax.before.replace("{name}", "do")
    opening, closing = (text.replace("{key}", "text") for text in syntax.element)
    endless = [
        " ",
        "\n",
        "<",
        "{",
        "[",
        '"',
        "\\",
        "1",
        "a",
        "[{",
        '{"a":',
        "a=1,",
        '"a" ',
        "</",
        closing,
        f"{closing} x",
    ]
    for part in (*endless, syntax.before, syntax.after, "<think>", "```json\n", "<|channel|>", " to="):
        many = part * (size // len(part) if part else 0)
        yield from (many, begun + many, f"{begun}{opening}{many}", f'{begun}{{"a": "{many}', f"{begun}{{}}{many}")
    yield (begun + "{}" + syntax.after) * (size // len(begun))


@MANY
def test_little_is_held_unread(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    held = 0

    def push(reader: Reader, text: str) -> None:
        nonlocal held
        held = max(held, len(reader._text) - reader._at)
        given(reader, text)

    given = Reader.push
    monkeypatch.setattr(Reader, "push", push)
    for text in hostile(family, 6000):
        parser = family.parser(ParserContext(tools=TOOLS, early=False))
        for start in range(0, len(text), STEP):
            parser.feed(text[start : start + STEP])
        parser.finish()
    assert held <= max(MOST_DIGITS, MOST_OF_A_WORD) + 100


@pytest.mark.slow
@MANY
def test_long_texts_are_read(family: Family) -> None:
    for text in hostile(family, 250_000):
        parser = family.parser(ParserContext(tools=TOOLS))
        assert isinstance([*parser.feed(text), *parser.finish()], list)
