"""Calls with one element a parameter: `<parameter=NAME>value</parameter>` and its relatives."""

from __future__ import annotations

import json

import msgspec

from edgellm.chat.tools.declared import DeclaredTools, fits
from edgellm.chat.tools.json_call import as_arguments
from edgellm.chat.tools.json_text import PYTHON, escaped, json_text
from edgellm.chat.tools.parser import CallArguments, CallEnd
from edgellm.chat.tools.reader import Marks, Mismatch, Reader, Steps, Text, Waits, gathered, marks, through

_CDATA, _CDATA_END = "<![CDATA[", "]]>"


class Elements(msgspec.Struct, frozen=True, kw_only=True):
    """The spellings, in order: `key` NAME `key_end` `value` text `value_end`, and `end` for the call.

    Spaces may stand between them. Line breaks around the text are not part of it where there are both. One of several
    `key_end` may say that the value is text (`text_key_end`). Under a grammar only `exact_end` ends a text.
    """

    key: str
    key_end: tuple[str, ...]
    text_key_end: tuple[str, ...] = ()
    value: str = ""
    value_end: str
    exact_end: str
    end: tuple[str, ...]


def element_call(reader: Reader, tools: DeclaredTools, name: str, elements: Elements) -> Steps[None]:
    """The call of `name`, whose parameters come next."""
    yield tools.start(name)
    call = _ElementCall(reader, tools, name, elements)
    yield from call.parameters()
    yield CallEnd()


class _ElementCall:
    def __init__(self, reader: Reader, tools: DeclaredTools, name: str, elements: Elements) -> None:
        self._reader = reader
        self._tools = tools
        self._name = name
        self._elements = elements
        self._own_line = False

    def parameters(self) -> Steps[None]:
        between = "{"
        yield from self._reader.space()
        while not (yield from self._reader.skip(*self._elements.end)):
            yield from self._reader.expect(self._elements.key)
            key, end = yield from self._reader.upto(*self._elements.key_end, *self._elements.text_key_end)
            yield CallArguments(f"{between}{escaped(key.strip(), quotes=True)}: ")
            yield from self._value(key.strip(), end in self._elements.text_key_end)
            yield from self._reader.space()
            between = ", "
        yield CallArguments("{}" if between == "{" else "}")

    def _value(self, key: str, text: bool) -> Steps[None]:
        if self._elements.value:
            yield from self._reader.space()
            yield from self._reader.expect(self._elements.value)
        if (yield from self._reader.skip(_CDATA)):
            yield from self._character_data()
            return
        self._own_line = bool((yield from self._reader.skip("\n")))
        types = frozenset(("string",)) if text else self._tools.types(self._name, key)
        if self._tools.forced and not self._tools.is_bare(self._name, key):
            yield from through(json_text(self._reader), as_arguments)
            yield from self._reader.expect(self._elements.exact_end)
        elif types == {"string"}:
            yield CallArguments('"')
            yield from through(self._text(), _inside_string)
            yield CallArguments('"')
        else:
            yield CallArguments(typed((yield from gathered(self._text())), types))

    def _text(self) -> Text[None]:
        """Up to what ends the element: its closing spelling with another element or the call's end behind it.

        Code holds such spellings too, as text. A grammar lets through only whole closings of its own.
        """
        while True:
            found = yield from self._reader.before(self._ends())
            if not found:
                raise Mismatch
            if self._tools.forced:
                return
            space = yield from self._reader.space()
            if (yield from self._follows()):
                return
            yield found + space

    def _ends(self) -> Marks:
        if self._tools.forced:
            return marks(self._elements.exact_end)
        end = self._elements.value_end
        return marks(f"\n{end}", end) if self._own_line else marks(end)

    def _follows(self) -> Waits[bool]:
        """Whether the next element, the call's end or the text's end is next."""
        for option in (self._elements.key, *self._elements.end, ""):
            if (yield from self._reader.ahead(len(option) or 1)) == option:
                return True
        return False

    def _character_data(self) -> Steps[None]:
        yield CallArguments('"')
        if not (yield from through(self._reader.before(marks(_CDATA_END)), _inside_string)):
            raise Mismatch
        yield CallArguments('"')
        yield from self._reader.space()
        yield from self._reader.expect(self._elements.value_end)


def _inside_string(text: str) -> tuple[CallArguments]:
    return (CallArguments(escaped(text)),)


def typed(text: str, types: frozenset[str]) -> str:
    """A parameter's text as JSON: a value of one of `types` where it is one, else a string."""
    reader = Reader()
    reader.push(text.strip())
    reader.end()
    try:
        value = "".join(piece for piece in json_text(reader, PYTHON) if piece)
        decoded = json.loads(value)
    except (Mismatch, ValueError):
        return escaped(text, quotes=True)
    whole = not reader.take(1)
    return value if whole and (not types or fits(decoded, types)) else escaped(text, quotes=True)
