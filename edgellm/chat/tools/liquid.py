"""LFM2: a list of Python's calls between `<|tool_call_start|>` and `<|tool_call_end|>`."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.python_call import python_calls
from edgellm.chat.tools.reader import Reader, Steps

_START, _END = "<|tool_call_start|>", "<|tool_call_end|>"


def _tagged(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from python_calls(reader, tools)
    yield from reader.space()
    yield from reader.skip(_END)


FLOW = Flow(openings={_START: _tagged}, closings=(_END,))
SYNTAX = CallSyntax(
    opening=f"{_START}[",
    closing=f"]{_END}",
    before="{name}(",
    after=")",
    between=", ",
    arguments="python",
    controls=(_START, _END),
)
