"""`WithProgress`: a stream that also tells how far the prompt is, as llama-server does where it is asked."""

from __future__ import annotations

import time
from typing import Any, Protocol

from edgellm.events import Event, Failed, Progress, Started
from edgellm.server.stream import Chunks


class ProgressChunks(Chunks, Protocol):
    """A dialect that has a place for it."""

    def progress(self, choice: int, told: dict[str, Any]) -> bytes:
        """A chunk of `choice` that has `told` as its `prompt_progress`."""
        ...


def with_progress(chunks: ProgressChunks, asked: bool | None) -> Chunks:
    """`chunks`, telling of the prompt where that is `asked`."""
    return WithProgress(chunks) if asked else chunks


class WithProgress:
    """`chunks` with more of them in between: what was cached at first, and the whole prompt before the first word."""

    def __init__(self, chunks: ProgressChunks) -> None:
        self._chunks = chunks
        self._open: dict[int, _Prompt] = {}

    def chunk(self, event: Event) -> bytes:
        piece, told = self._chunks.chunk(event), self._told(event)
        if not told:
            return piece
        news = self._chunks.progress(event.choice, told)
        return piece + news if isinstance(event, Started) else news + piece

    def end(self) -> bytes:
        return self._chunks.end()

    def _told(self, event: Event) -> dict[str, Any]:
        """The figures that `event` is news of; {} if of none."""
        if isinstance(event, Started):
            prompt = self._open[event.choice] = _Prompt(event.prompt_tokens, event.cached_tokens)
            return prompt.figures(event.cached_tokens)
        if isinstance(event, Progress):
            begun = self._open.get(event.choice)
            return begun.figures(event.done) if begun else {}  # an answer may be computed again in its midst
        done = None if isinstance(event, Failed) else self._open.pop(event.choice, None)
        return done.figures(done.total) if done else {}


class _Prompt:
    """Counts tokens, and milliseconds since the model began with it."""

    def __init__(self, total: int, cached: int) -> None:
        self.total = total
        self._cached = cached
        self._begin = time.perf_counter()
        self._last = -1

    def figures(self, done: int) -> dict[str, Any]:
        """{} for a count that was told before."""
        if done <= self._last:
            return {}
        self._last = done
        spent_ms = round(1000 * (time.perf_counter() - self._begin))
        return {"total": self.total, "cache": self._cached, "processed": done, "time_ms": spent_ms}
