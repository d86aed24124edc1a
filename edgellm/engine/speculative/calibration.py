"""Measures what steps of 1 to 64 rows cost, one decode at a time, in moments when nobody waits for anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence as Seq
from statistics import median

from edgellm.backends.base import Backend
from edgellm.backends.batch import Chunk
from edgellm.engine.prefix_cache import PrefixCache
from edgellm.errors import BackendError

ROWS = (1, 16, 4, 32, 2, 64, 8, 6, 12, 24, 48, 3)
"""The points, most telling first: a slow machine measures only the first of them in its time."""

LIMIT_S = 3.0
_RETRIES = 3
_REPEATS = 3
_QUICK_MS = 60.0
"""A decode this quick is repeated, and the middle taken: the first at another size also builds the library's graph."""


class Calibration:
    """Call `step` while the engine is idle, until it returns False; `milliseconds` then has the time of each size.

    Each call decodes once in a slot of its own and gives it back, so a request may come at any time.
    """

    def __init__(
        self,
        backend: Backend,
        cache: PrefixCache,
        clock: Callable[[], float],
        *,
        most: int,
        rows: Seq[int] = ROWS,
        limit_s: float = LIMIT_S,
    ) -> None:
        """`rows` in the order to measure them, those above `most` left out; `limit_s` for all together."""
        self._backend = backend
        self._cache = cache
        self._clock = clock
        self._limit_s = limit_s
        self._rows = [count for count in rows if count <= most] if backend.capabilities.trim else []
        self._again = _RETRIES
        self._begin()

    def _begin(self) -> None:
        self.milliseconds: dict[int, float] = {}
        self.spent_s = 0.0
        self._tries: list[float] = []
        # The very first decode wakes what sleeps, and is not kept.
        self._plan = [0, *self._rows] if self._rows else []

    @property
    def done(self) -> bool:
        return not self._plan

    def retry(self) -> bool:
        """Begin anew if one point took all the time there was, as where others kept the machine busy; not for ever."""
        spoilt = self.done and self._again > 0 and len(self.milliseconds) < 2 <= len(self._rows)
        if spoilt:
            self._again -= 1
            self._begin()
        return spoilt

    def step(self) -> bool:
        """One decode; False when there is nothing left to measure or no time left for it."""
        while self._plan and not self._affordable(self._plan[0]):
            self._plan.pop(0)
            self._tries = []
        if not self._plan:
            return False
        rows, begin = self._plan[0], self._clock()
        took = self._measure(rows or 1)
        self.spent_s += self._clock() - begin
        if took is None:
            self._plan = []
            return False
        self._tries.append(took)
        if rows:
            self.milliseconds[rows] = median(self._tries)
        if took >= _QUICK_MS or len(self._tries) == _REPEATS:
            self._plan.pop(0)
            self._tries = []
        return bool(self._plan)

    def _affordable(self, rows: int) -> bool:
        """By a bound from above: rows together cost no more than a few at a time."""
        guess = min((ms * -(-rows // count) for count, ms in self.milliseconds.items()), default=0.0)
        return self.spent_s + guess / 1000 <= self._limit_s and self._cache.free >= rows

    def _measure(self, rows: int) -> float | None:
        """Milliseconds; None if the backend could not."""
        slot = self._cache.open(self._cache.match([]))
        if slot is None:
            return None
        step = max(1, len(self._backend.vocabulary) // (rows + 1))
        tokens = [(1 + i) * step % len(self._backend.vocabulary) for i in range(rows)]
        begin = self._clock()
        try:
            self._backend.decode([Chunk(slot, 0, tokens, rows)]).wait()
        except BackendError:
            self._cache.close(slot, keep=False)
            return None
        took = 1000 * (self._clock() - begin)
        self._cache.extend(slot, tokens)
        self._cache.close(slot, keep=False)
        return took
