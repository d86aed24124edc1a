"""Muse Glimmer: messages to the user, to itself (thoughts) and to tools (calls as elements)."""

from __future__ import annotations

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.reader import Reader, Steps

_START, _HEADER, _END = "<|start|>assistant", "<|message|>", "<|eom|>"
_CALLS, _CALLS_END = "<atem:function_calls>", "</atem:function_calls>"
_ELEMENTS = Elements(
    key='<atem:parameter name="',
    key_end=('">',),
    value_end="</atem:parameter>",
    exact_end="</atem:parameter>\n",
    end=("</atem:invoke>",),
)


def _to_tool(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """The tool is named as the message's recipient, and again in the call."""
    yield from reader.skip("to=")
    yield from tools.read_name(reader)
    yield from reader.expect(_HEADER)
    yield from reader.space()
    yield from reader.expect(_CALLS)
    yield from reader.space()
    yield from reader.expect('<atem:invoke name="')
    name = yield from tools.read_name(reader)
    yield from reader.expect('">')
    yield from element_call(reader, tools, name, _ELEMENTS)
    yield from reader.space()
    yield from reader.skip(_CALLS_END)
    yield from reader.skip(_END, "<|eot|>")


FLOW = Flow(
    openings={f"{_START} to=": _to_tool},
    bare=_to_tool,
    preamble=(f"to=user{_HEADER}",),
    dropped=(f"{_START} to=user{_HEADER}", _END, "<|eot|>"),
    thinking=ThinkingTags(f"to=self{_HEADER}", _END),
)
SYNTAX = CallSyntax(
    before=f' to={{name}}{_HEADER}{_CALLS}\n<atem:invoke name="{{name}}">\n',
    after=f"</atem:invoke>\n{_CALLS_END}",
    between=f"{_END}{_START}",
    arguments="xml",
    element=('<atem:parameter name="{key}">', "</atem:parameter>\n"),
    controls=("<|start|>", _HEADER, _END, _CALLS, _CALLS_END),
)
