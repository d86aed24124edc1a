"""Messages typed at a terminal or held by a pipe, one a line, or several lines between triple quotes."""

from __future__ import annotations

import sys
from contextlib import suppress

FENCE = '"""'


class LineReader:
    """Reads stdin; prompts only when a person sits there."""

    def __init__(self) -> None:
        self.interactive = sys.stdin is not None and sys.stdin.isatty()
        if self.interactive:
            with suppress(ImportError):  # Windows has no readline and edits lines by itself
                import readline  # noqa: F401
        elif hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")

    def read(self) -> str | None:
        """The next message, never empty; None at the end. Ctrl-C raises KeyboardInterrupt."""
        while (line := self._line(">>> ")) is not None:
            text = self._until_fence(line.lstrip()[len(FENCE) :]) if line.lstrip().startswith(FENCE) else line.strip()
            if text:
                return text
        return None

    def _until_fence(self, line: str) -> str:
        """Everything up to the closing fence, or to the end of the input."""
        lines = [line]
        while not lines[-1].rstrip().endswith(FENCE):
            following = self._line("... ")
            if following is None:
                return "\n".join(lines)
            lines.append(following)
        lines[-1] = lines[-1].rstrip().removesuffix(FENCE)
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str | None:
        if sys.stdin is None:
            return None
        if not self.interactive:
            line = sys.stdin.readline()
            return line.rstrip("\r\n") if line else None
        try:
            if sys.stdout.isatty():
                return _typed(prompt)
            print(prompt, end="", file=sys.stderr, flush=True)
            return _typed("")
        except EOFError:
            return None


def _typed(prompt: str) -> str:
    # What was typed may hold bytes that are no UTF-8, which no model could be asked.
    return input(prompt).encode("utf-8", "replace").decode()
