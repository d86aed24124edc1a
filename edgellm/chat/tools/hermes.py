"""Hermes, Qwen and many more: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`."""

from __future__ import annotations

import msgspec

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import CallKeys, json_call, json_calls
from edgellm.chat.tools.python_call import python_calls
from edgellm.chat.tools.reader import Reader, Steps

SYNTAX = CallSyntax(
    before='<tool_call>\n{"name": "{name}", "arguments": ',
    after="}\n</tool_call>",
    controls=("<tool_call>", "</tool_call>"),
)
_BARE = CallKeys(strict=True)


def tagged(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    yield from json_calls(reader, tools)
    yield from reader.space()
    yield from reader.skip("</tool_call>", "</tools>")


def fenced(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """Small models, Qwen2.5-Coder above all, often put calls into a block of code instead of the tags."""
    yield from reader.space()
    yield from json_calls(reader, tools, _BARE)
    yield from reader.space()
    yield from reader.skip("```")


def fenced_python(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from python_calls(reader, tools)
    yield from reader.space()
    yield from reader.skip("```")


def bare(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """Or into nothing at all."""
    yield from json_call(reader, tools, _BARE)


FLOW = Flow(
    openings={"<tool_call>": tagged, "<tools>": tagged, "```json": fenced},
    bare=bare,
    closings=("</tool_call>", "</tools>"),
)
# For templates that know no tools. Gemma 3 was taught Python in blocks of this kind.
GENERIC_FLOW = msgspec.structs.replace(FLOW, openings={**FLOW.openings, "```tool_code": fenced_python})
