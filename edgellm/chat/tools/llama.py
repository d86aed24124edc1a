"""Llama 3: bare JSON, `<|python_tag|>` before it, or calls as Python writes them."""

from __future__ import annotations

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import CallKeys, json_call
from edgellm.chat.tools.python_call import python_calls
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_BARE = CallKeys(strict=True)


def _calls(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """Behind the tag, or where the answer begins: several objects, or a list of Python's calls."""
    yield from reader.space()
    yield from reader.skip("<|python_tag|>")
    yield from reader.space()
    if (yield from reader.ahead(1)) != "{":
        yield from python_calls(reader, tools)
        return
    while True:
        yield from json_call(reader, tools, _BARE)
        yield from reader.space()
        yield from reader.skip(";", ",")
        yield from reader.space()
        yield from reader.skip("<|python_tag|>")
        if (yield from reader.ahead(1)) != "{":
            return


def _bare(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """A call of Python's must stand in a list there: the name of a tool may begin a sentence."""
    if (yield from reader.ahead(1)) not in ("{", "["):
        raise Mismatch
    yield from _calls(reader, tools)


FLOW = Flow(openings={"<|python_tag|>": _calls}, bare=_bare, dropped=("<|eom_id|>",))
SYNTAX = CallSyntax(before='{"name": "{name}", "parameters": ', after="}", between="; ", controls=("<|python_tag|>",))
PYTHON_SYNTAX = CallSyntax(opening="[", closing="]", before="{name}(", after=")", between=", ", arguments="python")
