"""One answer as it arrives: written to stdout piece by piece, and its numbers afterwards."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

from edgellm import errors
from edgellm.cli.thoughts import Thoughts
from edgellm.cli.wrap import WordWrap
from edgellm.events import Event, Failed, Finished, Reasoning, Text
from edgellm.model import Model
from edgellm.request import ChatRequest

# Control characters could move the cursor or rename the window of whoever reads along; tab and newline may stay.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


@dataclass(slots=True)
class Answer:
    """What has come so far; `first_s` is the time from asking to the first text, in seconds."""

    hide_thinking: bool = False
    text: str = ""
    finished: Finished | None = None
    first_s: float | None = None
    asked: float = field(default_factory=time.monotonic)
    _wrap: WordWrap | None = None
    _thoughts: Thoughts = field(default_factory=Thoughts)

    async def stream(self, model: Model, request: ChatRequest) -> None:
        """Ask, and write what comes until it ends. Raises EdgeLLMError; when cancelled, what came is in `text`."""
        self.asked = time.monotonic()
        self._thoughts = Thoughts(self.hide_thinking)
        self._wrap = WordWrap(shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
        try:
            async with aclosing(cast("AsyncGenerator[Event, None]", model.stream(request))) as events:
                async for event in events:
                    self._take(event)
        finally:
            self._thoughts.end()
            if self._wrap is not None:
                write(self._wrap.flush())
            if self.text and not self.text.endswith("\n"):
                write("\n")

    def _take(self, event: Event) -> None:
        match event:
            case Text(text=text) if text:
                self._mark()
                self.text += text
                self._thoughts.end()
                write(text if self._wrap is None else self._wrap.feed(printable(text)))
            case Reasoning(text=text):
                self._mark()
                self._thoughts.write(printable(text))
            case Finished():
                self.finished = event
            case Failed():
                raise errors.from_code(event.code, event.message, event.details)

    def _mark(self) -> None:
        if self.first_s is None:
            self.first_s = time.monotonic() - self.asked

    @property
    def stats(self) -> str:
        """Counts, speeds in tokens a second, and the time to the first text, in one line."""
        if self.finished is None:
            return "no numbers: the answer was not finished"
        usage, timings = self.finished.usage, self.finished.timings
        parts = (
            f"prompt {usage.prompt_tokens} tokens ({usage.cached_tokens} cached)",
            _speed(timings.prompt_per_second),
            f"answer {usage.completion_tokens} tokens",
            _speed(timings.predicted_per_second),
            f"first text after {1000 * self.first_s:.0f} ms" if self.first_s is not None else "",
        )
        return ", ".join(part for part in parts if part)

    @property
    def note(self) -> str | None:
        """What a person should know of how the answer ended, if anything."""
        if self.finished is not None and self.finished.reason == "length":
            return f"stopped at {self.finished.usage.completion_tokens} tokens: the limit or the end of the context"
        return None


def _speed(tokens_per_second: float) -> str:
    return f"{tokens_per_second:.1f} tok/s" if tokens_per_second > 0 else ""


def printable(text: str) -> str:
    """`text` without control characters, which a terminal would obey."""
    return text.translate(_CONTROLS)


def write(text: str) -> None:
    """Text to stdout at once; exactly as it is unless stdout is a terminal."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
