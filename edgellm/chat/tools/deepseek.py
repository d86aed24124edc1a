"""DeepSeek R1, V3 and V3.1: names and JSON between marks of their own (for later ones see `invoke`)."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Reader, Steps


def _mark(words: str) -> str:
    return "<\uff5c" + words.replace(" ", "\u2581") + "\uff5c>"


CALLS, _CALLS_END = _mark("tool calls begin"), _mark("tool calls end")
_CALL, _CALL_END, _SEPARATOR = _mark("tool call begin"), _mark("tool call end"), _mark("tool sep")
_MARKS = (CALLS, _CALLS_END, _CALL, _CALL_END, _SEPARATOR)


def _listed(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    yield from reader.expect(_CALL)
    yield from _call(reader, tools)
    yield from reader.space()
    while (yield from reader.skip(_CALL)):
        yield from _call(reader, tools)
        yield from reader.space()
    yield from reader.skip(_CALLS_END)


def _call(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """NAME, separator, arguments; in R1 and V3 the word "function" comes first and the arguments are fenced."""
    fenced = yield from reader.skip("function" + _SEPARATOR)
    name = yield from tools.read_name(reader)
    yield from reader.space()
    if fenced:
        yield from reader.skip("```json")
    else:
        yield from reader.expect(_SEPARATOR)
    yield from reader.space()
    yield tools.start(name)
    yield from arguments(reader)
    yield CallEnd()
    yield from reader.space()
    yield from reader.skip("```")
    yield from reader.space()
    yield from reader.skip(_CALL_END)


FLOW = Flow(openings={CALLS: _listed, _CALL: _call}, closings=(_CALLS_END, _CALL_END))
SYNTAX = CallSyntax(
    opening=CALLS,
    closing=_CALLS_END,
    before=_CALL + "{name}" + _SEPARATOR,
    after=_CALL_END,
    between="",
    controls=_MARKS,
)
FENCED_SYNTAX = CallSyntax(
    opening=CALLS,
    closing=_CALLS_END,
    before=_CALL + "function" + _SEPARATOR + "{name}\n```json\n",
    after="\n```" + _CALL_END,
    between="\n",
    controls=_MARKS,
)
