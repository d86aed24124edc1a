"""When something that was found not to pay is tried again: soon at first, then ever more rarely."""

from __future__ import annotations

FIRST, RAREST = 4, 512


class Probes:
    """Counted in rounds; `succeeded` and `failed` say how the last probe went."""

    def __init__(self) -> None:
        self._interval = FIRST
        self._waited = 0

    def due(self) -> bool:
        """One more round goes by; whether it is one for a probe."""
        self._waited += 1
        if self._waited < self._interval:
            return False
        self._waited = 0
        return True

    def succeeded(self) -> None:
        self._interval = FIRST

    def failed(self) -> None:
        self._interval = min(RAREST, 2 * self._interval)
