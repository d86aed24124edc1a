"""`DeclaredTools`: the tools a request declares, as a parser asks after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edgellm.chat.tool_grammar import is_bare
from edgellm.chat.tools.parser import CallStart
from edgellm.chat.tools.reader import Mismatch, Reader, Waits
from edgellm.messages import Tool

_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    str: ("string",),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}
_MOST_STEPS = 50


class DeclaredTools:
    """`forced`: the text comes from a grammar, so that the family's exact spelling can be relied on."""

    def __init__(self, tools: Iterable[Tool], forced: bool = False) -> None:
        self.forced = forced
        self._tools = {tool.name: tool for tool in tools}
        self._longest_first = sorted(self._tools, key=len, reverse=True)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._tools)

    def start(self, name: str, id: str = "") -> CallStart:
        """Raises Mismatch for a tool that nobody declared: what calls it is text."""
        if name not in self._tools:
            raise Mismatch
        return CallStart(name, id)

    def read_name(self, reader: Reader) -> Waits[str]:
        """Reads the name of a declared tool. Raises Mismatch for anything else."""
        return (yield from reader.expect(*self._longest_first))

    def parameters(self, name: str) -> list[str]:
        """Their names, in order."""
        return list(_properties(self._tools[name].parameters))

    def schema(self, name: str) -> dict[str, Any]:
        return self._tools[name].parameters

    def is_bare(self, name: str, parameter: str) -> bool:
        """Whether an element under the grammar holds the parameter as it is, not as JSON."""
        value = _properties(self._tools[name].parameters).get(parameter)
        return is_bare(value if isinstance(value, dict) else {})

    def types(self, name: str, parameter: str) -> frozenset[str]:
        """The JSON types a parameter may have; empty where the schema does not say."""
        root = self._tools[name].parameters
        return types_of(_properties(root).get(parameter), root)


def fits(value: Any, types: frozenset[str]) -> bool:
    """Whether a decoded JSON value is of one of `types`."""
    return not types.isdisjoint(_TYPES[type(value)])


def types_of(schema: object, root: dict[str, Any]) -> frozenset[str]:
    """The JSON types a value may have; empty where its `schema` (with references into `root`) does not say."""
    return _types(schema, root, _MOST_STEPS)


def member(schema: object, root: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
    """The schema of an object's member or (`kind` "array", `key` "items") of a list's items; of a union, its own."""
    for option in _options(schema, root, _MOST_STEPS):
        found = option.get(key) if key == "items" and kind == "array" else _properties(option).get(key)
        if isinstance(found, dict):
            return found
    return {}


def _options(schema: object, root: dict[str, Any], steps: int) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict) or not steps:
        return
    yield schema
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema[key][:steps] if isinstance(schema.get(key), list) else ():
            yield from _options(option, root, steps // 2)
    if isinstance(schema.get("$ref"), str):
        yield from _options(_referred(schema["$ref"], root), root, steps // 2)


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _types(schema: object, root: dict[str, Any], steps: int) -> frozenset[str]:
    if not isinstance(schema, dict) or not steps:
        return frozenset()
    found: set[str] = set()
    kinds = schema.get("type")
    found.update([kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else ())
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if not found and isinstance(values, list):
        found.update(name for value in values for name in _TYPES.get(type(value), ()))
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        for option in options[:steps] if isinstance(options, list) and not found else ():
            found |= _types(option, root, steps // 2)
    if not found and isinstance(schema.get("$ref"), str):
        found |= _types(_referred(schema["$ref"], root), root, steps // 2)
    return frozenset(found)


def _referred(reference: str, root: dict[str, Any]) -> object:
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found
