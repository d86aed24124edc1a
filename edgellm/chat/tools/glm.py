"""GLM 4.x and its kin: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>value</arg_value></tool_call>`."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import json_calls
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_ELEMENTS = Elements(
    key="<arg_key>",
    key_end=("</arg_key>",),
    value="<arg_value>",
    value_end="</arg_value>",
    exact_end="</arg_value>\n",
    end=("</tool_call>",),
)
SYNTAX = CallSyntax(
    before="<tool_call>{name}\n",
    after="</tool_call>",
    arguments="xml",
    element=("<arg_key>{key}</arg_key>\n<arg_value>", "</arg_value>\n"),
    controls=("<tool_call>", "</tool_call>"),
)


def _tagged(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    if (yield from reader.ahead(1)) == "{":
        yield from json_calls(reader, tools)
        yield from reader.space()
        yield from reader.skip("</tool_call>")
        return
    name = yield from tools.read_name(reader)
    space = yield from reader.space()
    if not space and (yield from reader.ahead(1)) != "<":  # a longer name, which nobody declared
        raise Mismatch
    yield from element_call(reader, tools, name, _ELEMENTS)


FLOW = Flow(
    openings={"<tool_call>": _tagged}, closings=("</tool_call>",), dropped=("<|role_end|>",), calls_end_thoughts=True
)
