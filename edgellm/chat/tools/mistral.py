"""Mistral: `[TOOL_CALLS]` with a list of objects and their ids, or, newer, `[TOOL_CALLS]NAME[ARGS]{...}`."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import CallKeys, arguments, json_calls
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Reader, Steps

_WITH_ID = CallKeys(id_last=True)


def _calls(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    if (yield from reader.ahead(1)) in ("[", "{"):
        yield from json_calls(reader, tools, _WITH_ID)
        return
    name = yield from tools.read_name(reader)
    id = ""
    mark = yield from reader.expect("[ARGS]", "[CALL_ID]", "{")
    if mark == "[CALL_ID]":
        id, _ = yield from reader.upto("[ARGS]")
    yield tools.start(name, id)
    yield from reader.space()
    yield from arguments(reader)
    yield CallEnd()


FLOW = Flow(openings={"[TOOL_CALLS]": _calls}, dropped=("[ARGS]",))
LIST_SYNTAX = CallSyntax(
    opening="[TOOL_CALLS][",
    closing="]",
    before='{"name": "{name}", "arguments": ',
    after="}",
    between=", ",
    controls=("[TOOL_CALLS]",),
)
SYNTAX = CallSyntax(
    before="[TOOL_CALLS]{name}[ARGS]",
    after="",
    between="",
    controls=("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
)
