"""`json_text`: a value as models write it, JSON or nearly so, to strict JSON while it arrives."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from edgellm.chat.tools.reader import Mismatch, Reader, Text, Waits, gathered, marks

MOST_DEPTH = 200
_MOST_HELD = 10_000
MOST_DIGITS = 4000  # Python, for one, reads no longer numbers
_WORD = re.compile(r"[\w.+\-]+")
_KEY = re.compile(r"[\w.\-]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_LITERALS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_RUNS = {'"': re.compile(r'[^"\\\x00-\x1f]+'), "'": re.compile(r"[^'\\\x00-\x1f]+")}
_HEX = re.compile("[0-9a-fA-F]+")


class Notation(msgspec.Struct, frozen=True):
    """What is taken beside JSON: other `quotes`, quotes whose text has no escapes (`raw`), keys without quotes."""

    quotes: tuple[str, ...] = ('"',)
    raw: tuple[str, ...] = ()
    bare_keys: bool = False


JSON = Notation()
PYTHON = Notation(quotes=('"', "'"), raw=('"""', "'''"))


def json_text(reader: Reader, notation: Notation = JSON) -> Text[None]:
    """Reads one value and gives it piece by piece; spaces stay as they are.

    Python's literals, line breaks in strings, unknown escapes and trailing commas are put right. Raises Mismatch for
    what cannot be, and at the end of the text.
    """
    closers: list[str] = []
    held = ""  # the comma and spaces before the next item
    while True:
        held += yield from reader.space()
        if closers and (yield from reader.skip(closers[-1])):
            yield held.replace(",", "") + closers.pop()
        else:
            yield held
            if closers and closers[-1] == "}":
                yield from _key(reader, notation)
            opener = yield from reader.skip("{", "[")
            if opener:
                yield opener
                closers.append("}" if opener == "{" else "]")
                held = ""
                if len(closers) > MOST_DEPTH:
                    raise Mismatch
                continue
            yield from _scalar(reader, notation)
        if not closers:
            return
        held = yield from reader.space()
        if (yield from reader.skip(",")):
            held += ","
        elif (yield from reader.ahead(1)) != closers[-1]:
            raise Mismatch


def whole(reader: Reader, notation: Notation = JSON) -> Waits[Any]:
    """Reads one short value, decoded. Raises Mismatch for a long one."""
    return json.loads((yield from gathered(json_text(reader, notation), _MOST_HELD)))


def _key(reader: Reader, notation: Notation) -> Text[None]:
    quote = yield from _quote(reader, notation)
    if quote:
        yield from _string(reader, quote, raw=quote in notation.raw)
    elif notation.bare_keys:
        yield escaped((yield from reader.word(_KEY)), quotes=True)
    else:
        raise Mismatch
    yield (yield from reader.space())
    yield (yield from reader.expect(":"))
    yield (yield from reader.space())


def _scalar(reader: Reader, notation: Notation) -> Text[None]:
    quote = yield from _quote(reader, notation)
    if quote:
        yield from _string(reader, quote, raw=quote in notation.raw)
        return
    word = yield from reader.word(_WORD, MOST_DIGITS)
    if word not in _LITERALS and not _NUMBER.fullmatch(word):
        raise Mismatch
    yield _LITERALS.get(word, word)


def _quote(reader: Reader, notation: Notation) -> Waits[str]:
    return (yield from reader.skip(*notation.raw, *notation.quotes))


def _string(reader: Reader, quote: str, raw: bool) -> Text[None]:
    yield '"'
    if raw:
        yield from raw_string(reader, quote)
    else:
        yield from _escaped_string(reader, quote)
    yield '"'


def raw_string(reader: Reader, end: str) -> Text[None]:
    """Text up to `end`, which is read too, as the inside of a JSON string."""
    text = reader.before(marks(end))
    while True:
        try:
            piece = next(text)
        except StopIteration as stop:
            if not stop.value:
                raise Mismatch from None
            return
        yield piece and escaped(piece)


def _escaped_string(reader: Reader, quote: str) -> Text[None]:
    while True:
        run = reader.run(_RUNS[quote])
        if run:
            yield run if quote == '"' else run.replace('"', '\\"')
        match (yield from reader.ahead(1)):
            case "":
                raise Mismatch
            case "\\":
                yield (yield from _escape(reader))
            case found if found == quote:
                reader.take(1)
                return
            case found if found < " ":
                yield escaped(reader.take(1))


def _escape(reader: Reader) -> Waits[str]:
    """One escape sequence as JSON has it."""
    two = yield from reader.ahead(2)
    if len(two) < 2:
        raise Mismatch
    size = {"u": 6, "x": 4}.get(two[1], 2)
    text = yield from reader.ahead(size)
    good = len(text) == size and (size == 2 or _HEX.fullmatch(text[2:]) is not None)
    reader.take(size if good else 1)
    if not good:
        return "\\\\"
    match two[1]:
        case "u":
            return text
        case "x":
            return "\\u00" + text[2:]
        case '"' | "\\" | "/" | "b" | "f" | "n" | "r" | "t":
            return two
        case "'":
            return "'"
        case other:
            return "\\\\" + escaped(other)


def escaped(text: str, quotes: bool = False) -> str:
    """`text` as in a JSON string, without the quotes around it unless asked for."""
    encoded = json.dumps(text, ensure_ascii=False)
    return encoded if quotes else encoded[1:-1]
