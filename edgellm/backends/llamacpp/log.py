"""What a native library has to say: kept for error messages, and passed on to our log."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

DEBUG, INFO, WARN, ERROR, CONTINUED = 1, 2, 3, 4, 5
"""Levels of ggml."""


class NativeLog:
    """The last lines the library wrote, for error messages; every line also goes to our logger."""

    def __init__(self, keep: int = 400) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=keep)
        self._count = 0
        self._partial = ""
        self._level = INFO

    def write(self, level: int, text: bytes | None) -> None:
        """One call of the library's log callback; a line may come in several pieces."""
        if level != CONTINUED:
            self._level = level
        self._partial += (text or b"").decode("utf-8", "replace")
        *lines, self._partial = self._partial.split("\n")
        for line in lines:
            self._add(line.rstrip())

    def mark(self) -> int:
        """A position for `since`."""
        return self._count

    def since(self, mark: int, *, problems: bool = False) -> list[str]:
        """Lines written after `mark`, as far as they are still kept; only warnings and errors if `problems`."""
        new = min(self._count - mark, len(self._lines))
        lines = list(self._lines)[len(self._lines) - new :]
        return [text for level, text in lines if not problems or level in (WARN, ERROR)]

    def _add(self, line: str) -> None:
        if not line.strip(". "):
            return
        self._lines.append((self._level, line))
        self._count += 1
        # Its warnings are for its own developers; its errors reach the user as exceptions that quote them.
        level = {WARN: "info", ERROR: "warning"}.get(self._level, "debug")
        _logger().log(level, "native", line=line)


@cache
def _logger() -> Any:
    from edgellm.telemetry import log as telemetry

    return telemetry.get("llamacpp")
