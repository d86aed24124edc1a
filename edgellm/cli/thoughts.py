"""What a model thinks before it answers, dimmed, on the terminal beside the answer: never in a pipe."""

from __future__ import annotations

import os
import shutil
import sys

from edgellm.cli.wrap import WordWrap

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Thoughts:
    """Written to stderr, if that is a terminal and they are not `hidden`; `end` before anything else is written."""

    def __init__(self, hidden: bool = False) -> None:
        shown = not hidden and sys.stderr is not None and sys.stderr.isatty()
        self._wrap = WordWrap(shutil.get_terminal_size().columns) if shown else None
        self._dims = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._open = False

    def write(self, text: str) -> None:
        if self._wrap is None or not text:
            return
        begins, self._open = not self._open, True
        self._put((_DIM if begins and self._dims else "") + self._wrap.feed(text))

    def end(self) -> None:
        """A blank line behind thoughts, if there were any."""
        if self._wrap is not None and self._open:
            self._open = False
            self._put(self._wrap.flush() + (_PLAIN if self._dims else "") + "\n\n")

    def _put(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
