"""Kimi: K2's `functions.NAME:0` with JSON between marks, K3's `<|open|>` and `<|close|>` elements."""

from __future__ import annotations

import re

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_SECTION, _SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_CALL, _CALL_END, _ARGUMENTS = "<|tool_call_begin|>", "<|tool_call_end|>", "<|tool_call_argument_begin|>"
_DIGITS = re.compile(r"[0-9]+")


def _section(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    yield from reader.expect(_CALL)
    yield from _call(reader, tools)
    yield from reader.space()
    while (yield from reader.skip(_CALL)):
        yield from _call(reader, tools)
        yield from reader.space()
    yield from reader.skip(_SECTION_END)


def _call(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """The id holds the name."""
    yield from reader.space()
    prefix = yield from reader.skip("functions.")
    name = yield from tools.read_name(reader)
    colon = yield from reader.skip(":")
    number = (yield from reader.word(_DIGITS)) if colon else ""
    yield from reader.space()
    yield from reader.expect(_ARGUMENTS)
    yield from reader.space()
    yield tools.start(name, prefix + name + colon + number if number else "")
    yield from arguments(reader)
    yield CallEnd()
    yield from reader.space()
    yield from reader.skip(_CALL_END)


FLOW = Flow(
    openings={_SECTION: _section, _CALL: _call},
    closings=(_SECTION_END, _CALL_END),
    calls_end_thoughts=True,
)
SYNTAX = CallSyntax(
    opening=_SECTION,
    closing=_SECTION_END,
    before=f"{_CALL}functions.{{name}}:0{_ARGUMENTS}",
    after=_CALL_END,
    between="",
    controls=(_SECTION, _SECTION_END, _CALL, _CALL_END, _ARGUMENTS),
)

_K3_CLOSE = "<|close|>argument<|sep|>"
_K3_KINDS = ("number", "integer", "boolean", "object", "array", "null")
_K3_ELEMENTS = Elements(
    key='<|open|>argument key="',
    key_end=(*(f'" type="{kind}"<|sep|>' for kind in _K3_KINDS), '"<|sep|>'),
    text_key_end=('" type="string"<|sep|>',),
    value_end=_K3_CLOSE,
    exact_end=_K3_CLOSE,
    end=("<|close|>call<|sep|>",),
)
_K3_CALL = '<|open|>call tool="'


def _k3_tools(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    calls = 0
    while (yield from reader.skip(_K3_CALL)):
        name = yield from tools.read_name(reader)
        yield from reader.expect('"')
        yield from reader.upto("<|sep|>")
        yield from element_call(reader, tools, name, _K3_ELEMENTS)
        yield from reader.space()
        calls += 1
    if not calls:
        raise Mismatch
    yield from reader.skip("<|close|>tools<|sep|>")


K3_FLOW = Flow(
    openings={"<|open|>tools<|sep|>": _k3_tools},
    closings=("<|close|>tools<|sep|>",),
    thinking=ThinkingTags("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    dropped=("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
    calls_end_thoughts=True,
)
K3_SYNTAX = CallSyntax(
    opening="<|open|>tools<|sep|>",
    closing="<|close|>tools<|sep|>",
    before=f'{_K3_CALL}{{name}}" index="1"<|sep|>',
    after="<|close|>call<|sep|>",
    between="",
    arguments="xml",
    element=('<|open|>argument key="{key}" type="{type}"<|sep|>', _K3_CLOSE),
    controls=("<|open|>", "<|close|>", "<|sep|>"),
)
