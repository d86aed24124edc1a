"""Calls as Python writes them: `name(key="value", ...)`, often in a list."""

from __future__ import annotations

import re

from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.json_call import as_arguments
from edgellm.chat.tools.json_text import PYTHON, escaped, json_text
from edgellm.chat.tools.parser import CallArguments, CallEnd
from edgellm.chat.tools.reader import Mismatch, Reader, Steps, through

_NAME = re.compile(r"\w+")


def python_calls(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    """One call, or a list of them."""
    yield from reader.space()
    listed = yield from reader.skip("[")
    while True:
        yield from reader.space()
        yield from python_call(reader, tools)
        if not listed:
            return
        yield from reader.space()
        if not (yield from reader.skip(",")):
            break
    yield from reader.skip("]")


def python_call(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    name = yield from tools.read_name(reader)
    yield from reader.skip(".call")
    yield from reader.space()
    yield from reader.expect("(")
    yield tools.start(name)
    positions = tools.parameters(name)
    between = "{"
    yield from reader.space()
    while not (yield from reader.skip(")")):
        if (yield from reader.ahead(1)) in tuple("\"'[{-0123456789"):
            if not positions:
                raise Mismatch
            key = positions.pop(0)
        else:
            key = yield from reader.word(_NAME)
            yield from reader.space()
            yield from reader.expect("=")
        yield CallArguments(f"{between}{escaped(key, quotes=True)}: ")
        between = ", "
        yield from through(json_text(reader, PYTHON), as_arguments)
        yield from reader.space()
        if not (yield from reader.skip(",")) and (yield from reader.ahead(1)) != ")":
            raise Mismatch
        yield from reader.space()
    yield CallArguments("{}" if between == "{" else "}")
    yield CallEnd()
