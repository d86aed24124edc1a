"""Calls with the tool's name first and one JSON object behind it, marks around both."""

from __future__ import annotations

import msgspec

from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.json_text import JSON, Notation
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Reader, Steps


class NamedSpelling(msgspec.Struct, frozen=True, kw_only=True):
    """`before` NAME `between` arguments `after`, with spaces anywhere; "" for what a family does not write."""

    before: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    notation: Notation = JSON


def named_call(reader: Reader, tools: DeclaredTools, spelling: NamedSpelling) -> Steps[None]:
    yield from reader.space()
    if spelling.before:
        yield from reader.expect(*spelling.before)
        yield from reader.space()
    name = yield from tools.read_name(reader)
    yield from reader.space()
    if spelling.between:
        yield from reader.expect(*spelling.between)
        yield from reader.space()
    yield tools.start(name)
    yield from arguments(reader, spelling.notation)
    yield CallEnd()
    yield from reader.space()
    yield from reader.skip(*spelling.after)
