"""`Parser`: generated text to content, thoughts and tool calls, piece by piece."""

from __future__ import annotations

from typing import Protocol

import msgspec

from edgellm.messages import Tool


class Content(msgspec.Struct, frozen=True):
    text: str


class Thought(msgspec.Struct, frozen=True):
    text: str


class CallStart(msgspec.Struct, frozen=True):
    """A call of a declared tool begins; `id` only where the family writes one."""

    name: str
    id: str = ""


class CallArguments(msgspec.Struct, frozen=True):
    """The next piece of the call's JSON object."""

    text: str


class CallEnd(msgspec.Struct, frozen=True):
    """The call is whole: its arguments, joined, are a JSON object."""


class CallBroken(msgspec.Struct, frozen=True):
    """The call that was begun is none after all; `text` is what the model wrote of it, word for word.

    Stands in place of `CallEnd`, and only where pieces were asked for early: no later piece belongs to the call.
    """

    text: str


Piece = Content | Thought | CallStart | CallArguments | CallEnd | CallBroken


class ParserContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a parser must know of the request and its prompt.

    `thinking_open`: the prompt ends inside a thinking block. `split_thinking` False leaves thoughts and their tags in
    the content. `parse_tools` False leaves calls there (`tool_choice` "none"); so does having no tools. `early`: give
    a call's arguments while they are written, at the risk of `CallBroken`; else a call comes out once it is whole.
    Under a grammar (`forced`, or behind the mark `enforced`) they always come early, as nothing but the end of the
    budget can break them.
    """

    tools: tuple[Tool, ...] = ()
    thinking_open: bool = False
    split_thinking: bool = True
    parse_tools: bool = True
    forced: bool = False
    early: bool = True
    enforced: str = ""


class Parser(Protocol):
    """Turns generated text into pieces, as early as is safe; never raises on what a model writes.

    Work is linear in the text. However the text is cut, the pieces joined are the same.
    """

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are certain after this much more text."""

    def finish(self) -> list[Piece]:
        """The text has ended: what was held back. What never became a call comes out as content, word for word."""
