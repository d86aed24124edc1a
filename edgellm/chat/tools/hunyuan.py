"""Hunyuan 3: one `<arg_key>` and `<arg_value>` a parameter, as GLM has them; each tag ends in `:opensource`."""

from __future__ import annotations

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_CALLS, _CALLS_END = "<tool_calls:opensource>", "</tool_calls:opensource>"
_CALL, _CALL_END, _NAME_END = "<tool_call:opensource>", "</tool_call:opensource>", "<tool_sep:opensource>"
_KEY, _KEY_END = "<arg_key:opensource>", "</arg_key:opensource>"
_VALUE, _VALUE_END = "<arg_value:opensource>", "</arg_value:opensource>"
_ELEMENTS = Elements(
    key=_KEY, key_end=(_KEY_END,), value=_VALUE, value_end=_VALUE_END, exact_end=f"{_VALUE_END}\n", end=(_CALL_END,)
)


def _listed(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    calls = 0
    while (yield from reader.skip(_CALL)):
        name = yield from tools.read_name(reader)
        yield from reader.expect(_NAME_END)
        yield from element_call(reader, tools, name, _ELEMENTS)
        yield from reader.space()
        calls += 1
    if not calls:
        raise Mismatch
    yield from reader.skip(_CALLS_END)


FLOW = Flow(
    openings={_CALLS: _listed},
    closings=(_CALLS_END, _CALL_END),
    thinking=ThinkingTags("<think:opensource>", "</think:opensource>"),
    calls_end_thoughts=True,
)
SYNTAX = CallSyntax(
    opening=f"{_CALLS}\n",
    closing=f"\n{_CALLS_END}",
    before=f"{_CALL}{{name}}{_NAME_END}\n",
    after=_CALL_END,
    arguments="xml",
    element=(f"{_KEY}{{key}}{_KEY_END}\n{_VALUE}", f"{_VALUE_END}\n"),
    controls=(_CALLS, _CALLS_END, _CALL, _CALL_END, _NAME_END, _KEY, _KEY_END, _VALUE, _VALUE_END),
)
