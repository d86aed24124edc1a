"""Calls as JSON objects in a list between two marks: Command R, Nemotron, Granite, Apriel, GigaChat and others."""

from __future__ import annotations

from functools import partial

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import KEYS, CallKeys, json_calls
from edgellm.chat.tools.reader import Reader, Steps

_COMMAND_KEYS = CallKeys(name=("tool_name", "name"), id=("tool_call_id",))
_COMMAND_BEFORE = '{"tool_name": "{name}", "parameters": '
_BEFORE = '{"name": "{name}", "arguments": '


def between_marks(
    reader: Reader,
    tools: DeclaredTools,
    closings: tuple[str, ...],
    keys: CallKeys = KEYS,
    bracket: bool = False,
    fence: str = "",
) -> Steps[None]:
    """`bracket`: the opening mark took the list's own bracket with it. `fence`: what may stand before the list."""
    yield from reader.space()
    if fence:
        yield from reader.skip(fence)
        yield from reader.space()
    yield from json_calls(reader, tools, keys)
    yield from reader.space()
    if bracket:
        yield from reader.skip("]")
        yield from reader.space()
    yield from reader.skip(*closings)


def _flow(opening: str, *closings: str, keys: CallKeys = KEYS, dropped: tuple[str, ...] = ()) -> Flow:
    calls = partial(between_marks, closings=closings, keys=keys)
    return Flow(openings={opening: calls}, closings=closings, dropped=dropped)


def _syntax(opening: str, closing: str = "", before: str = _BEFORE, controls: tuple[str, ...] = ()) -> CallSyntax:
    """A list, its brackets among the marks."""
    return CallSyntax(
        opening=f"{opening}[", closing=f"]{closing}", before=before, after="}", between=", ", controls=controls
    )


NEMOTRON_FLOW = _flow("<TOOLCALL>", "</TOOLCALL>")
NEMOTRON_SYNTAX = _syntax("<TOOLCALL>", "</TOOLCALL>", controls=("<TOOLCALL>", "</TOOLCALL>"))

# Apriel, and MiniMax M1 (which leaves the brackets out and puts each object on a line).
TOOL_CALLS_FLOW = _flow("<tool_calls>", "</tool_calls>")
APRIEL_SYNTAX = _syntax("<tool_calls>", "</tool_calls>", controls=("<tool_calls>", "</tool_calls>"))
MINIMAX_1_SYNTAX = CallSyntax(
    opening="<tool_calls>\n",
    closing="\n</tool_calls>",
    before=_BEFORE,
    after="}",
    controls=("<tool_calls>", "</tool_calls>"),
)

GRANITE_FLOW = _flow("<|tool_call|>", "<|/tool_call|>")
GRANITE_SYNTAX = _syntax("<|tool_call|>", controls=("<|tool_call|>",))

FIREFUNCTION_FLOW = Flow(openings={"functools[": partial(between_marks, closings=(), bracket=True)})
FIREFUNCTION_SYNTAX = _syntax(" functools")

GIGACHAT_OPENING = "<|message_sep|>\n\nfunction call<|role_sep|>\n"
GIGACHAT_FLOW = _flow(GIGACHAT_OPENING, dropped=("<|message_sep|>",))
GIGACHAT_SYNTAX = CallSyntax(
    opening=GIGACHAT_OPENING, before=_BEFORE, after="}", controls=("<|message_sep|>", "<|role_sep|>")
)
GIGACHAT_31_FLOW = _flow("<|function_call|>")
GIGACHAT_31_SYNTAX = CallSyntax(opening="<|function_call|>", before=_BEFORE, after="}", controls=("<|function_call|>",))

COMMAND_FLOW = _flow(
    "<|START_ACTION|>",
    "<|END_ACTION|>",
    keys=_COMMAND_KEYS,
    dropped=("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>"),
)
COMMAND_SYNTAX = _syntax(
    "<|START_ACTION|>",
    "<|END_ACTION|>",
    before=_COMMAND_BEFORE,
    controls=("<|START_ACTION|>", "<|END_ACTION|>"),
)

COMMAND_PLUS_FLOW = Flow(
    openings={"Action:": partial(between_marks, closings=("```",), keys=_COMMAND_KEYS, fence="```json")},
    dropped=("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
)
COMMAND_PLUS_SYNTAX = _syntax("Action:\n```json\n", "\n```", before=_COMMAND_BEFORE)
