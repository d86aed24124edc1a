"""Calls as JSON objects that name the tool and hold its arguments."""

from __future__ import annotations

import json

import msgspec

from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.json_text import JSON, Notation, json_text, whole
from edgellm.chat.tools.parser import CallArguments, CallEnd
from edgellm.chat.tools.reader import Mismatch, Reader, Steps, Waits, gathered, through

_LENIENT = Notation(quotes=('"', "'"))


class CallKeys(msgspec.Struct, frozen=True):
    """The object's keys, where families differ.

    `id_last`: the id comes behind the arguments, so a call comes out only once it is whole. `strict`: other keys than
    these make it no call (it stands where a JSON answer could).
    """

    name: tuple[str, ...] = ("name",)
    arguments: tuple[str, ...] = ("arguments", "parameters", "args")
    id: tuple[str, ...] = ("id",)
    id_last: bool = False
    strict: bool = False


KEYS = CallKeys()


def json_calls(reader: Reader, tools: DeclaredTools, keys: CallKeys = KEYS) -> Steps[None]:
    """One object, several after each other, or a list of them."""
    listed = yield from reader.skip("[")
    while True:
        yield from reader.space()
        yield from json_call(reader, tools, keys)
        yield from reader.space()
        yield from reader.skip(",", ";")
        yield from reader.space()
        if (yield from reader.ahead(1)) != "{":
            break
    if listed:
        yield from reader.skip("]")


def json_call(reader: Reader, tools: DeclaredTools, keys: CallKeys = KEYS) -> Steps[None]:
    yield from reader.expect("{")
    yield from _Call(reader, tools, keys).members()


class _Call:
    def __init__(self, reader: Reader, tools: DeclaredTools, keys: CallKeys) -> None:
        self._reader = reader
        self._tools = tools
        self._keys = keys
        self._name = ""
        self._id = ""
        self._arguments: list[CallArguments] = []
        self._ended = False

    def members(self) -> Steps[None]:
        yield from self._object()
        if not self._ended:
            yield self._tools.start(self._name, self._id)
            yield from self._arguments or [CallArguments("{}")]
            yield CallEnd()

    def _object(self) -> Steps[None]:
        """The rest of an object, and of one that stands in it for the function."""
        yield from self._reader.space()
        while not (yield from self._reader.skip("}")):
            yield from self._member((yield from self._key()))
            yield from self._reader.space()
            yield from self._reader.skip(",")
            yield from self._reader.space()

    def _key(self) -> Waits[str]:
        key = yield from self._string()
        yield from self._reader.space()
        yield from self._reader.expect(":")
        yield from self._reader.space()
        return key

    def _member(self, key: str) -> Steps[None]:
        if key in self._keys.name and not self._name:
            self._name = yield from self._string()
            self._tools.start(self._name)
        elif key in self._keys.arguments:
            yield from self._read_arguments()
        elif key in self._keys.id:
            self._id = str((yield from whole(self._reader)))
        elif key == "function" and not self._name:
            yield from self._reader.expect("{")
            yield from self._object()
        elif self._keys.strict and key != "type":
            raise Mismatch
        else:
            yield from whole(self._reader, _LENIENT)

    def _read_arguments(self) -> Steps[None]:
        now = self._name and not self._keys.id_last and not self._ended
        if now:
            yield self._tools.start(self._name, self._id)
        for piece in arguments(self._reader):
            if now or piece is None:
                yield piece
            else:
                assert isinstance(piece, CallArguments)
                self._arguments.append(piece)
        if now:
            self._ended = True
            yield CallEnd()

    def _string(self) -> Waits[str]:
        if (yield from self._reader.ahead(1)) not in ('"', "'"):
            raise Mismatch
        return str((yield from whole(self._reader, _LENIENT)))


def arguments(reader: Reader, notation: Notation = JSON) -> Steps[None]:
    """An object as `CallArguments`; null stands for an empty one, and a string may hold it."""
    first = yield from reader.ahead(1)
    if first == "{":
        yield from through(json_text(reader, notation), as_arguments)
    elif first == '"':
        yield CallArguments((yield from _object_in_string(reader)))
    else:
        yield from reader.expect("null", "None")
        yield CallArguments("{}")


def as_arguments(text: str) -> tuple[CallArguments]:
    return (CallArguments(text),)


def _object_in_string(reader: Reader) -> Waits[str]:
    text = json.loads((yield from gathered(json_text(reader))))
    try:
        good = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        good = False
    if not good:
        raise Mismatch
    return str(text)
