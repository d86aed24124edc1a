"""Apertus: `<|tools_prefix|>[{"NAME": {...}}]<|tools_suffix|>`."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Reader, Steps

_PREFIX, _SUFFIX = "<|tools_prefix|>", "<|tools_suffix|>"


def _listed(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    yield from reader.expect("[")
    more = "["
    while more:
        yield from reader.space()
        yield from reader.expect("{")
        yield from reader.space()
        yield from reader.expect('"')
        name = yield from tools.read_name(reader)
        yield from reader.expect('"')
        yield from reader.space()
        yield from reader.expect(":")
        yield from reader.space()
        yield tools.start(name)
        yield from arguments(reader)
        yield CallEnd()
        yield from reader.space()
        yield from reader.expect("}")
        yield from reader.space()
        more = yield from reader.skip(",")
    yield from reader.skip("]")
    yield from reader.space()
    yield from reader.skip(_SUFFIX)


FLOW = Flow(openings={_PREFIX: _listed}, closings=(_SUFFIX,))
SYNTAX = CallSyntax(
    opening=f"{_PREFIX}[",
    closing=f"]{_SUFFIX}",
    before='{"{name}": ',
    after="}",
    between=", ",
    controls=(_PREFIX, _SUFFIX),
)
