"""Functionary: 3.1's `<function=NAME>{...}</function>`, and 3.2's `>>>NAME` before each part of an answer."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.named_call import NamedSpelling, named_call
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Reader, Steps

_SPELLING = NamedSpelling(between=(">",), after=("</function>",))


def _function(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from named_call(reader, tools, _SPELLING)


def _recipient(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    if (yield from reader.skip("all\n")):
        return
    name = yield from tools.read_name(reader)
    yield from reader.expect("\n")
    yield tools.start(name)
    yield from arguments(reader)
    yield CallEnd()


FLOW_31 = Flow(openings={"<function=": _function}, closings=("</function>",))
SYNTAX_31 = CallSyntax(before="<function={name}>", after="</function>")
FLOW_32 = Flow(openings={">>>": _recipient}, bare=_recipient, preamble=("all\n",))
SYNTAX_32 = CallSyntax(before="{name}\n", after="", between="\n>>>")
