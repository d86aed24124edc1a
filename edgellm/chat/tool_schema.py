"""`CheckedTools`: refuses tools whose parameters are no JSON schema that could be honoured, by name and keyword."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from edgellm.chat.schema import fitted
from edgellm.errors import RequestError
from edgellm.messages import Tool

MOST_TOOLS = 1024
_REMEMBERED = 4096


class CheckedTools:
    """Remembers which tools were good, so that an agent's are looked at once. Used by one thread at a time."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def check(self, tools: Sequence[Tool]) -> tuple[str, ...]:
        """What of their schemas is not enforced. Takes a millisecond a new tool. Raises RequestError."""
        if len(tools) > MOST_TOOLS:
            raise RequestError(f"The request has {len(tools)} tools; at most {MOST_TOOLS} can be offered at once.")
        return tuple(warning for tool in tools for warning in self._checked(tool))

    def _checked(self, tool: Tool) -> tuple[str, ...]:
        key = hashlib.sha256(msgspec.msgpack.encode(tool)).digest()
        if key not in self._good:
            with naming(tool):
                warnings = fitted(object_schema(tool.parameters), strict=tool.strict).warnings
            self._good[key] = tuple(f"tool {tool.name!r}: {warning}" for warning in warnings)
        self._good.move_to_end(key)
        while len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)
        return self._good[key]


@contextmanager
def naming(tool: Tool) -> Iterator[None]:
    """Complaints about a schema, with the tool that it belongs to."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"The parameters of tool {tool.name[:100]!r}: {error}") from None


def object_schema(parameters: dict[str, Any]) -> dict[str, Any]:
    """Always an object, and of the parameters that are named: a model invents others otherwise."""
    given = {key: value for key, value in parameters.items() if value is not None}
    schema = {"type": "object", "properties": {}} | given
    if schema["type"] not in ("object", ["object"]):
        raise RequestError(f"keyword 'type' is {str(schema['type'])[:50]!r}; a tool takes an 'object'.")
    if not isinstance(schema["properties"], dict):
        raise RequestError("keyword 'properties' must be an object with a schema for each parameter.")
    open_ended = {"additionalProperties", "patternProperties", "anyOf", "allOf", "oneOf", "$ref"} & schema.keys()
    return schema if open_ended else schema | {"additionalProperties": False}
