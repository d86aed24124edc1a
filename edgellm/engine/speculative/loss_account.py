"""What speculation has cost or saved one request, and whether it may risk another round."""

from __future__ import annotations

SHARE = 0.01
"""Of a request's time that speculation may lose in all."""

STAKE = 0.003
"""Of a request's time that one more round may lose beyond the share, if what is nearly sure turns out wrong.

Only where otherwise no round could ever begin: in short requests on machines where two rows cost two steps.
"""

_PLANNED = 0.9
"""Of the share, as far as rounds go knowingly: decodes take a little more or less time than expected."""


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

    def allows(self, worst: float, likely: float, whole: float, stake: float = STAKE) -> bool:
        """Whether a round is within bounds, in a request that takes `whole` milliseconds from beginning to end.

        It loses `worst` milliseconds if nothing of it comes true, and at most `likely` if what is nearly sure does.
        """
        share = SHARE * whole
        return (
            self.balance <= share
            and self.balance + likely <= _PLANNED * share
            and self.balance + worst <= share + stake * whole
        )

    def left(self, whole: float) -> float:
        """Milliseconds that may be lost knowingly before the request's end."""
        return _PLANNED * SHARE * whole - self.balance

    @staticmethod
    def could_begin(worst: float, whole: float) -> bool:
        """Whether a request that has lost and saved nothing yet can bear a round that loses `worst`, come what may."""
        return worst <= _PLANNED * SHARE * whole

    def book(self, loss: float, ceiling: float) -> None:
        """A round took `loss` milliseconds more (less, if negative) than plain steps for the same tokens."""
        self.saved -= loss
        self.balance = max(-ceiling, self.balance + loss)
        self.worst = max(self.worst, self.balance)
