"""`check_bounds`: refuses JSON schemas that are too large, too deep, or would take too long to compile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from edgellm.errors import RequestError

MOST_BYTES = 256 << 10
MOST_DEPTH = 64
MOST_NODES = 20_000
MOST_MEETING = 10
"""Regular expressions one value may have to match at once: their intersection takes time exponential in their number.

Measured with llguidance 1.9: 8 take milliseconds, 12 a tenth of a second, 16 twenty seconds.
"""


def check_bounds(schema: dict[str, Any]) -> None:
    """Raises RequestError. Takes time in proportion to the schema's size."""
    for depth, nodes in _walk(schema):
        if depth > MOST_DEPTH:
            raise RequestError(f"The JSON schema is nested more than {MOST_DEPTH} levels deep; make it flatter.")
        if nodes > MOST_NODES:
            raise RequestError(f"The JSON schema has more than {MOST_NODES:,} parts; make it smaller.")
    if len(msgspec.json.encode(schema)) > MOST_BYTES:
        raise RequestError(f"The JSON schema is larger than {MOST_BYTES >> 10} KiB; make it smaller.")
    try:
        meeting = _Meeting(schema).most(schema)
    except RecursionError:
        raise RequestError("References in the JSON schema form too long a chain; make it shorter.") from None
    if meeting > MOST_MEETING:
        raise RequestError(
            f"In the JSON schema a value may have to match {meeting} patterns at once ('allOf', '$ref' and "
            f"'patternProperties' combine them); {MOST_MEETING} at most can be enforced."
        )


def _walk(schema: Any) -> Iterator[tuple[int, int]]:
    """The depth of each node, without recursion, and how many were seen."""
    waiting, seen = [(schema, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        yield depth, seen
        if isinstance(node, dict | list):
            children = node.values() if isinstance(node, dict) else node
            waiting.extend((child, depth + 1) for child in children)


class _Meeting:
    """An upper bound of how many patterns meet in one value; references are followed once."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: dict[str, int] = {}

    def most(self, node: Any) -> int:
        """In `node` or anything in it."""
        if isinstance(node, list):
            return max(map(self.most, node), default=0)
        if not isinstance(node, dict):
            return 0
        combined = ("allOf", "patternProperties", "$ref")
        beside = max((self.most(value) for key, value in node.items() if key not in combined), default=0)
        return beside + self._added(node)

    def _added(self, node: dict[str, Any]) -> int:
        """By what `node` itself asks for, in addition to what its parts do."""
        every, keyed = node.get("allOf"), node.get("patternProperties")
        added = ("pattern" in node) + ("format" in node)
        added += sum(map(self.most, every)) if isinstance(every, list) else 0
        added += sum(1 + self.most(value) for value in keyed.values()) if isinstance(keyed, dict) else 0
        return added + (self._target(node["$ref"]) if isinstance(node.get("$ref"), str) else 0)

    def _target(self, reference: str) -> int:
        if reference not in self._known:
            self._known[reference] = 0  # what leads back to itself adds nothing
            self._known[reference] = self.most(self._resolved(reference))
        return self._known[reference]

    def _resolved(self, reference: str) -> Any:
        node: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            node = node.get(step) if isinstance(node, dict) else None
        return node if reference != "#" else None
