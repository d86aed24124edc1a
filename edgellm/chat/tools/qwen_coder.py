"""Qwen3-Coder, Nemotron 3, Step 3.5, Seed-OSS: `<function=NAME><parameter=KEY>value</parameter></function>`."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import json_calls
from edgellm.chat.tools.reader import Reader, Steps

_ENDS = ("</tool_call>", "</seed:tool_call>")
_ELEMENTS = Elements(
    key="<parameter=",
    key_end=(">",),
    value_end="</parameter>",
    exact_end="\n</parameter>\n",
    end=("</function>", *_ENDS),
)


def _tagged(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    while (yield from reader.skip("<function=")):
        yield from _function(reader, tools)
        yield from reader.space()
    if (yield from reader.ahead(1)) == "{":
        yield from json_calls(reader, tools)
        yield from reader.space()
    yield from reader.skip(*_ENDS)


def _function(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    name = yield from tools.read_name(reader)
    yield from reader.space()
    yield from reader.expect(">")
    yield from element_call(reader, tools, name, _ELEMENTS)


def _syntax(tag: str) -> CallSyntax:
    return CallSyntax(
        before=f"<{tag}>\n<function={{name}}>\n",
        after=f"</function>\n</{tag}>",
        arguments="xml",
        controls=(f"<{tag}>", f"</{tag}>"),
    )


def _flow(tag: str) -> Flow:
    return Flow(
        openings={f"<{tag}>": _tagged, "<function=": _function},
        closings=(f"</{tag}>", "</function>"),
        calls_end_thoughts=True,
    )


SYNTAX, FLOW = _syntax("tool_call"), _flow("tool_call")
SEED_SYNTAX, SEED_FLOW = _syntax("seed:tool_call"), _flow("seed:tool_call")
