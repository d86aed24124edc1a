"""`StopStrings`: cut a text that comes in pieces at the first stop string."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgellm.errors import RequestError


class StopStrings:
    """However the text is cut into pieces, what is let through and what matched are the same.

    The match that starts first wins; of those that start together, the first in the list. A match therefore waits
    while one that would win over it could still be completed. Text after a match is dropped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Raises RequestError for an empty stop string."""
        if not all(stops):
            raise RequestError("A stop string is empty; leave it out or give it at least one character.")
        self._stops = tuple(stops)
        # Alternation has the order we want: leftmost first, then as listed.
        self._any = re.compile("|".join(map(re.escape, stops)))
        self._reach = max(map(len, stops), default=1) - 1
        self._held = ""
        self._matched: str | None = None

    def push(self, text: str) -> tuple[str, str | None]:
        """What of the text so far may be let through now, and the stop string that ended it (again at each call)."""
        if not self._stops:
            return text, None
        if self._matched is not None:
            return "", self._matched
        self._held += text
        found = self._any.search(self._held)
        keep = self._pending(found)
        if keep is None and found:
            return self._end(found)
        keep = len(self._held) if keep is None else keep
        safe, self._held = self._held[:keep], self._held[keep:]
        return safe, None

    def flush(self) -> tuple[str, str | None]:
        """The text is complete: what was held back, and the stop string in it, if a match had waited."""
        found = self._any.search(self._held) if self._stops and self._matched is None else None
        if found:
            return self._end(found)
        safe, self._held = self._held, ""
        return safe, self._matched

    def _end(self, found: re.Match[str]) -> tuple[str, str | None]:
        safe, self._held, self._matched = self._held[: found.start()], "", found.group()
        return safe, self._matched

    def _pending(self, found: re.Match[str] | None) -> int | None:
        """Where the first stop string begins that may yet be completed and would win over `found`."""
        first = max(0, len(self._held) - self._reach)
        last = found.start() if found else len(self._held) - 1
        for start in range(first, last + 1):
            rivals = self._stops
            if found and start == found.start():
                rivals = self._stops[: self._stops.index(found.group())]
            tail = self._held[start:]
            if any(len(stop) > len(tail) and stop.startswith(tail) for stop in rivals):
                return start
        return None
