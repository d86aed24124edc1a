"""MiniMax M3: parameters and what lies in them as nested elements, each tag behind a mark."""

from __future__ import annotations

from typing import Any

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools, member, types_of
from edgellm.chat.tools.element_call import typed
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_call import as_arguments
from edgellm.chat.tools.json_text import escaped, json_text, raw_string
from edgellm.chat.tools.parser import CallEnd
from edgellm.chat.tools.reader import Mismatch, Reader, Steps, Text, marks, through

_MARK = "]<]minimax[>["
_CALLS, _CALLS_END = f"{_MARK}<tool_call>", f"{_MARK}</tool_call>"
_CALL, _CALL_END = f'{_MARK}<invoke name="', f"{_MARK}</invoke>"
_ITEM, _ITEM_END = f"{_MARK}<item>", f"{_MARK}</item>"
_MOST_DEPTH = 50


def _listed(reader: Reader, tools: DeclaredTools) -> Steps[None]:
    yield from reader.space()
    calls = 0
    while (yield from reader.skip(_CALL)):
        name = yield from tools.read_name(reader)
        yield from reader.expect('">')
        yield tools.start(name)
        yield from through(_Nested(reader, tools, name).call(), as_arguments)
        yield CallEnd()
        yield from reader.space()
        calls += 1
    if not calls:
        raise Mismatch
    yield from reader.skip(_CALLS_END)


class _Nested:
    """One call's arguments as JSON."""

    def __init__(self, reader: Reader, tools: DeclaredTools, name: str) -> None:
        self._reader = reader
        self._name = name
        self._tools = tools
        self._root = tools.schema(name)

    def call(self) -> Text[None]:
        yield from self._object(self._root, _CALL_END, 0)

    def _object(self, schema: dict[str, Any], end: str, depth: int) -> Text[None]:
        between = "{"
        yield from self._reader.space()
        while not (yield from self._reader.skip(end)):
            yield from self._reader.expect(f"{_MARK}<")
            key, _ = yield from self._reader.upto(">")
            yield f"{between}{escaped(key, quotes=True)}: "
            between, value_end = ", ", f"{_MARK}</{key}>"
            if self._tools.forced and not self._tools.is_bare(self._name, key):
                yield from json_text(self._reader)
                yield from self._reader.expect(value_end)
            else:
                yield from self._value(member(schema, self._root, "object", key), value_end, depth + 1)
            yield from self._reader.space()
        yield "{}" if between == "{" else "}"

    def _value(self, schema: dict[str, Any], end: str, depth: int) -> Text[None]:
        types = types_of(schema, self._root)
        if depth > _MOST_DEPTH:
            raise Mismatch
        if types == {"string"}:
            yield '"'
            yield from raw_string(self._reader, end)
            yield '"'
        elif "string" not in types and (yield from self._nests()):
            yield from self._inside(schema, end, depth)
        else:
            yield typed((yield from self._plain(end)), types)

    def _nests(self) -> Text[bool]:
        yield from self._reader.space()
        return (yield from self._reader.ahead(len(_MARK) + 1)) == f"{_MARK}<"

    def _inside(self, schema: dict[str, Any], end: str, depth: int) -> Text[None]:
        """An object, a list, or nothing at all."""
        types = types_of(schema, self._root)
        if (yield from self._reader.skip(end)):
            yield "[]" if "array" in types else "{}" if "object" in types else '""'
        elif (yield from self._reader.ahead(len(_ITEM))) == _ITEM and (not types or "array" in types):
            yield from self._list(member(schema, self._root, "array", "items"), end, depth)
        else:
            yield from self._object(schema, end, depth)

    def _list(self, items: dict[str, Any], end: str, depth: int) -> Text[None]:
        between = "["
        while not (yield from self._reader.skip(end)):
            yield from self._reader.expect(_ITEM)
            yield between
            yield from self._value(items, _ITEM_END, depth + 1)
            yield from self._reader.space()
            between = ", "
        yield "]"

    def _plain(self, end: str) -> Text[str]:
        text = self._reader.before(marks(end))
        pieces: list[str] = []
        while True:
            try:
                piece = next(text)
            except StopIteration as stop:
                if not stop.value:
                    raise Mismatch from None
                return "".join(pieces)
            if piece is None:
                yield None
            else:
                pieces.append(piece)


FLOW = Flow(openings={_CALLS: _listed}, closings=(_CALLS_END, _CALL_END), calls_end_thoughts=True)
SYNTAX = CallSyntax(
    opening=f"{_CALLS}\n",
    closing=f"\n{_CALLS_END}",
    before=f'{_CALL}{{name}}">',
    after=_CALL_END,
    arguments="xml",
    element=(f"{_MARK}<{{key}}>", f"{_MARK}</{{key}}>"),
    controls=(_MARK,),
)
