"""Solar Open: messages of thoughts, content and calls; a call is its id, its name and JSON between marks."""

from __future__ import annotations

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_CALLS, _CALLS_END = "<|tool_calls|>", "<|calls|>"
_CALL, _CALL_END = "<|tool_call:begin|>", "<|tool_call:end|>"
_NAME, _ARGUMENTS = "<|tool_call:name|>", "<|tool_call:args|>"
_TURN = "<|begin|>assistant"


def _listed(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    calls = 0
    while (yield from reader.skip(_CALL)):
        id, _ = yield from reader.upto(_NAME)
        name = yield from tools.read_name(reader)
        yield from reader.expect(_ARGUMENTS)
        yield from reader.space()
        yield tools.start(name, id.strip())
        yield from arguments(reader)
        yield CallEnd()
        yield from reader.space()
        yield from reader.skip(_CALL_END)
        yield from reader.space()
        calls += 1
    if not calls:
        raise Mismatch
    yield from reader.skip(_CALLS_END)


FLOW = Flow(
    openings={_CALLS: _listed},
    closings=(_CALLS_END, _CALL_END),
    dropped=(_TURN, "<|content|>", "<|end|>"),
    thinking=ThinkingTags("<|think|>", "<|end|>"),
)
SYNTAX = CallSyntax(
    opening=_CALLS,
    closing=_CALLS_END,
    before=f"{_CALL}{_NAME}{{name}}{_ARGUMENTS}",
    after=_CALL_END,
    between="",
    controls=(_CALLS, _CALLS_END, _CALL, _CALL_END, _NAME, _ARGUMENTS, "<|begin|>"),
)
