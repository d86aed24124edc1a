"""`ResponseStore`: responses that clients may ask for again or go on from, as many as fit, the latest used kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

MOST = 1000
MOST_BYTES = 64 << 20


class StoredResponse(msgspec.Struct, frozen=True):
    """`body` is the response, `items` everything that went before its output, both as JSON."""

    body: bytes
    items: bytes

    def conversation(self) -> list[Any]:
        """All items up to the end of the output, the first one first."""
        output = msgspec.json.decode(self.body)["output"]
        return [*msgspec.json.decode(self.items), *output]


class ResponseStore:
    """At most `most` responses of `most_bytes` in all; a single one that is larger is not kept."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, StoredResponse] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, id: str, response: dict[str, Any], items: list[dict[str, Any]]) -> None:
        stored = StoredResponse(msgspec.json.encode(response), msgspec.json.encode(items))
        if _size(stored) > self._most_bytes:
            return
        self.drop(id)
        self._kept[id] = stored
        self.bytes += _size(stored)
        while len(self._kept) > self._most or self.bytes > self._most_bytes:
            self.drop(next(iter(self._kept)))

    def get(self, id: str) -> StoredResponse | None:
        if id in self._kept:
            self._kept.move_to_end(id)
        return self._kept.get(id)

    def drop(self, id: str) -> bool:
        """Whether there was one."""
        stored = self._kept.pop(id, None)
        if stored is not None:
            self.bytes -= _size(stored)
        return stored is not None


def _size(stored: StoredResponse) -> int:
    return len(stored.body) + len(stored.items)
