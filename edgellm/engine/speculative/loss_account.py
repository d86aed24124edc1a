"""What speculation has cost or saved one request, and whether it may risk another round."""

from __future__ import annotations

SHARE = 0.01
"""Of a request's time that speculation may lose in all."""

_PLANNED = 0.85
"""Of the share, as far as rounds go knowingly: how steps scatter is counted, but only in the mean."""

_SLOW = 1.25
"""Times as long as expected, from which on a step tells more of the machine than of itself."""

_RECENT = 4
"""Rounds for which the last plain step tells how things are."""


class LossAccount:
    """Milliseconds. `balance` is above 0 while speculation has cost more than it saved.

    Savings count only up to a ceiling, so that early ones do not pay for a long row of losses later; `saved` adds up
    everything, `worst` is the highest balance so far.
    """

    __slots__ = ("balance", "began", "saved", "worst")

    def __init__(self, began: float) -> None:
        """`began`: seconds of the clock at which the request's work began."""
        self.began = began
        self.balance = 0.0
        self.saved = 0.0
        self.worst = 0.0

    def left(self, whole: float) -> float:
        """Milliseconds that may be lost knowingly, in a request that takes `whole` of them from beginning to end."""
        return _PLANNED * SHARE * whole - self.balance

    def book(self, loss: float, ceiling: float) -> None:
        """A round took `loss` milliseconds more (less, if negative) than plain steps for the same tokens."""
        self.saved -= loss
        self.balance = max(-ceiling, self.balance + loss)
        self.worst = max(self.worst, self.balance)


class SlowMoments:
    """Tells a machine that is busy with something else from a round that is dearer than thought.

    What slows a round slows plain steps as much, so those are charged as they are just now: slowed by as much as the
    last of them were, if they were, and else by as much as the round. That only once in a row for each number of rows:
    a round that takes too long twice, while plain steps do not, is as dear as that.
    """

    def __init__(self) -> None:
        self._dear: set[int] = set()
        """Rows of which the last round took too long, though plain steps did not."""
        self._plain, self._age = 1.0, _RECENT

    def plain(self, took: float, expected: float) -> None:
        """A plain step took so many milliseconds, and not what was expected."""
        self._plain, self._age = took / expected, 0

    def factor(self, rows: int, took: float, expected: float) -> float:
        """Times as long as usual that plain steps would take now, going by a round of `rows` rows (milliseconds)."""
        self._age += 1
        if took <= _SLOW * expected:
            self._dear.discard(rows)
            return 1.0
        slow = took / expected
        if self._age <= _RECENT and self._plain > _SLOW:
            return min(slow, self._plain)
        if rows in self._dear:
            return 1.0
        self._dear.add(rows)
        return slow
