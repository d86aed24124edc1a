"""`Clock`: bounds each wait of one request to another server: for its first words, between pieces, and all together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import msgspec

from edgellm.errors import DeadlineExceeded, EdgeLLMError, UpstreamTimeout
from edgellm.events import Event, Progress, Reasoning, Text, ToolArguments, ToolStart
from edgellm.remote.trouble import inside

_T = TypeVar("_T")


class Patience(msgspec.Struct, frozen=True):
    """Seconds: for a connection, for the first words of an answer (prompts may take minutes), between two pieces of
    it, and for all of it (None: without end)."""

    connect_s: float = 10.0
    first_s: float = 600.0
    silence_s: float = 600.0
    total_s: float | None = None


class Clock:
    """Runs from when it is made; `called` is the server. Comments that only keep a connection open are no words."""

    def __init__(self, patience: Patience, deadline_s: float | None, called: str) -> None:
        self._patience = patience
        self._deadline_s = deadline_s
        self._called = called
        self._began = self._alive = time.monotonic()
        self._words = False

    def heard(self, events: Iterable[Event]) -> None:
        """Something came. That a prompt is being computed is a sign of life, and no word of the answer."""
        for event in events:
            if isinstance(event, Text | Reasoning | ToolStart | ToolArguments):
                self._words = True
            if self._words or isinstance(event, Progress):
                self._alive = time.monotonic()

    async def bounded(self, work: Awaitable[_T]) -> _T:
        """What `work` gives. Raises UpstreamTimeout and DeadlineExceeded."""
        now = time.monotonic()
        waits = [self._alive + self._silence_s - now]
        waits += [
            self._began + limit - now for limit in (self._patience.total_s, self._deadline_s) if limit is not None
        ]
        try:
            async with asyncio.timeout(max(0.001, min(waits))):
                return await work
        except TimeoutError:
            raise self._late() from None

    @property
    def _silence_s(self) -> float:
        return self._patience.silence_s if self._words else self._patience.first_s

    def _late(self) -> EdgeLLMError:
        now = time.monotonic()
        spent, total_s = now - self._began, self._patience.total_s
        if self._deadline_s is not None and spent >= self._deadline_s:
            return DeadlineExceeded(
                f"The answer of {inside(self._called)} was not complete within {self._deadline_s:g} s. "
                "Allow it more time."
            )
        if total_s is not None and spent >= total_s:
            return UpstreamTimeout(f"{self._called} took longer than the {total_s:g} s that its answer may take.")
        if self._words:
            return UpstreamTimeout(f"{self._called} has said nothing for {now - self._alive:.0f} s in its answer.")
        return UpstreamTimeout(
            f"{self._called} has said nothing within {self._patience.first_s:g} s. It may be busy with a long prompt "
            "or with others: try again later, or allow more time."
        )
