"""What speculation has cost or saved one request, and whether it may risk another round."""

from __future__ import annotations

SHARE = 0.01
"""Of a request's time that speculation may lose in all."""

_PLANNED = 0.9
"""Of the share, as far as rounds go knowingly: how steps scatter is counted, but only in the mean."""

_SLOW = 1.25
"""Times as long as expected, from which on a step tells more of the machine than of itself."""


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
    """Tells a machine that is busy for a moment from a step that is dearer than thought.

    What slows a round would have slowed plain steps as much, but a second round of the same size in a row that takes
    too long is believed.
    """

    def __init__(self) -> None:
        self._slow: set[int] = set()

    def factor(self, rows: int, took: float, expected: float) -> float:
        """Times as long as usual that everything takes now, going by a step of `rows` rows (milliseconds)."""
        if took <= _SLOW * expected:
            self._slow.discard(rows)
            return 1.0
        if rows in self._slow:
            return 1.0
        self._slow.add(rows)
        return took / expected
