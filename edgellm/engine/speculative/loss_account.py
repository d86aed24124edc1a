"""What speculation has cost or saved one request, and whether it may risk another round."""

from __future__ import annotations

SHARE = 0.01
"""Of a request's time that speculation may lose in all."""

STAKE = 0.02
"""Of a request's time that one more round may lose at worst, beyond what was lost so far and may be lost."""


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

    def allows(self, worst: float, whole: float, *, promising: bool) -> bool:
        """Whether a round is within bounds that loses `worst` milliseconds if nothing of it comes true, in a request
        that takes `whole` milliseconds from beginning to end. Only what is `promising` may be staked beyond the share.
        """
        limit = SHARE + STAKE if promising else SHARE
        return self.balance <= SHARE * whole and self.balance + worst <= limit * whole

    def book(self, loss: float, ceiling: float) -> None:
        """A round took `loss` milliseconds more (less, if negative) than plain steps for the same tokens."""
        self.saved -= loss
        self.balance = max(-ceiling, self.balance + loss)
        self.worst = max(self.worst, self.balance)
