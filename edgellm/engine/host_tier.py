"""Prompts kept in host memory: what left the KV but may be asked for again, each as tokens and the backend's own bytes.

Cells that stay in the KV slow everybody, for attention passes over all of them; bytes beside it slow nobody.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

from edgellm.engine.common_prefix import common_prefix
from edgellm.errors import BackendError

SHORTEST = 8
"""Tokens below which computing again is as quick as keeping."""

_ENTRIES = 256
"""Searching looks at every entry, so there is a bound to their number besides the one to their bytes."""


class States(Protocol):
    """The part of a `Backend` that the tier drives."""

    def save(self, slot: int) -> bytes: ...

    def restore(self, slot: int, state: bytes) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """The tokens a slot held, and its state."""

    tokens: array[int]
    state: bytes


class HostTier:
    """At most `budget` bytes, least recently used out first. `budget` 0 keeps nothing."""

    def __init__(self, backend: States, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._backend = backend
        self._entries: dict[Saved, None] = {}  # in the order of use

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, slot: int, tokens: list[int]) -> bool:
        """Save `slot`, which holds `tokens`; False when that is not worth it or cannot be done."""
        if not self.budget or len(tokens) < SHORTEST:
            return False
        wanted = array("i", tokens)
        if (known := self._covering(wanted)) is not None:
            self._use(known)
            return True
        try:
            state = self._backend.save(slot)
        except (BackendError, MemoryError):  # a copy that cannot be made costs a prefill later, nothing now
            return False
        if len(state) > self.budget:
            return False
        for covered in [e for e in self._entries if wanted[: len(e.tokens)] == e.tokens]:
            self.drop(covered)
        self._entries[Saved(wanted, state)] = None
        self.used += len(state)
        while self.used > self.budget or len(self._entries) > _ENTRIES:
            self.drop(next(iter(self._entries)))
        return True

    def best(self, tokens: Seq[int], limit: int, beyond: int) -> tuple[Saved, int] | None:
        """The entry that shares the longest beginning with `tokens[:limit]`, and its length, where that is worth it.

        Worth it against the `beyond` tokens that are in the KV already: restoring moves the whole entry, so a long one
        must give more than a short one.
        """
        wanted, best = array("i", tokens[:limit]), None
        length = beyond
        for entry in self._entries:
            if entry.tokens[length : length + SHORTEST] != wanted[length : length + SHORTEST]:
                continue
            common = common_prefix(entry.tokens, 0, wanted, 0, limit)
            if common > length and common - beyond >= max(SHORTEST, len(entry.tokens) // 64):
                best, length = entry, common
        return None if best is None else (best, length)

    def restore(self, entry: Saved, slot: int) -> bool:
        """Put `entry` into the empty `slot`; False, and the slot still empty, where the backend refuses it."""
        try:
            self._backend.restore(slot, entry.state)
        except BackendError:
            self.drop(entry)
            return False
        self._use(entry)
        return True

    def drop(self, entry: Saved) -> None:
        if entry in self._entries:
            del self._entries[entry]
            self.used -= len(entry.state)

    def clear(self) -> None:
        self._entries.clear()
        self.used = 0

    def _use(self, entry: Saved) -> None:
        # What was evicted to make room for this very entry may have pushed it out.
        if entry in self._entries:
            del self._entries[entry]
            self._entries[entry] = None

    def _covering(self, tokens: array[int]) -> Saved | None:
        return next((e for e in self._entries if e.tokens[: len(tokens)] == tokens), None)
