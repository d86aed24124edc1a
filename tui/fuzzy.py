"""Ranks names by how well they fit what was typed: its letters in order, best at the beginnings of words."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

_BOUNDARY = frozenset("/_-. ")


def best(query: str, names: Sequence[str], limit: int) -> tuple[str, ...]:
    """At most `limit` of `names`, the best first; equals keep their order. Capitals do not count."""
    wanted = "".join(query.lower().split())
    if not wanted:
        return tuple(names[:limit])
    scored = ((score(wanted, name), -index, name) for index, name in enumerate(names))
    fitting = (each for each in scored if each[0] is not None)
    return tuple(name for _, _, name in heapq.nlargest(limit, fitting))


def score(wanted: str, name: str) -> float | None:
    """None if `wanted` (lower case) does not occur, letter by letter; the higher the better."""
    low = name.lower()
    whole = low.rfind(wanted)
    if whole >= 0:  # as one piece, best in the file's own name
        own = low.rfind("/") + 1
        return 100.0 + 50.0 * (whole >= own) + 25.0 * _begins(name, whole) - len(name) / 100
    return _scattered(wanted, name, low)


def _scattered(wanted: str, name: str, low: str) -> float | None:
    total, at = 0.0, -1
    for letter in wanted:
        found = low.find(letter, at + 1)
        if found < 0:
            return None
        total += 1.0 + 4.0 * _begins(name, found) + 2.0 * (found == at + 1)
        at = found
    return total / len(wanted) * 10 - len(name) / 100


def _begins(name: str, at: int) -> bool:
    """Whether a word of `name` begins there."""
    return at == 0 or name[at - 1] in _BOUNDARY or (name[at].isupper() and name[at - 1].islower())
