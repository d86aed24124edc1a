"""`Family`: how a group of models writes thoughts and tool calls, found by their chat template."""

from __future__ import annotations

import msgspec

from edgellm.chat.reasoning import ThinkingTags, thinking_of
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools import hermes
from edgellm.chat.tools.flow import Flow, flow_parser
from edgellm.chat.tools.parser import Parser, ParserContext


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """`syntax` is how calls are written under a grammar; the parser takes more than that.

    `generic`: the template has no words for tools, so they must be described in a system message, and calls and
    results be told as text.
    """

    name: str
    flow: Flow
    syntax: CallSyntax
    generic: bool = False

    @property
    def thinking(self) -> ThinkingTags | None:
        return self.flow.thinking

    @property
    def markers(self) -> tuple[str, ...]:
        """Spellings that the parser must see in the text even where they are control tokens of the vocabulary."""
        tags = self.thinking
        found = (
            *self.flow.openings,
            *self.flow.closings,
            *self.flow.dropped,
            *self.syntax.controls,
            *((tags.opening, tags.closing) if tags else ()),
        )
        return tuple(dict.fromkeys(found))

    def parser(self, context: ParserContext) -> Parser:
        """A parser for one answer."""
        return flow_parser(self.flow, context)


# The first with all of its spellings in the template is taken.
_FAMILIES: tuple[tuple[tuple[str, ...], Family], ...] = (
    (("<tool_call>",), Family(name="hermes", flow=hermes.FLOW, syntax=hermes.SYNTAX)),
)
_GENERIC = Family(name="generic", flow=hermes.FLOW, syntax=hermes.SYNTAX, generic=True)


def family_of(template: str) -> Family:
    """By the spellings in the source of a chat template; the generic family where it knows of no tools."""
    found = next((family for marks, family in _FAMILIES if all(mark in template for mark in marks)), _GENERIC)
    thinking = thinking_of(template)
    return msgspec.structs.replace(found, flow=msgspec.structs.replace(found.flow, thinking=thinking))
