"""Times the phases of one choice (queue, prefill, first token, decode) on a clock that is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgellm.events import Timings

Clock = Callable[[], float]


class Stopwatch:
    """Starts when the request enters the queue; `clock` gives seconds and never goes back.

    Call `admitted`, then `prefilled` for every chunk, then `tokens` for every step that generated some. A preempted
    request goes through this again; its queue time stays that of the first time, and what it computes again after its
    first token counts as decoding.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._queued = clock()
        self._admitted: float | None = None
        self._first: float | None = None
        self._last = self._queued
        self._cached = 0
        self._computed = 0
        self._generated = 0
        self._drafted = 0
        self._accepted = 0
        self._saved_ms = 0.0
        self._risked_ms = 0.0

    @property
    def running(self) -> bool:
        """The request has left the queue."""
        return self._admitted is not None

    def admitted(self, cached_tokens: int = 0) -> None:
        """The request left the queue; so many tokens of its prompt need not be computed."""
        if self._admitted is None:
            self._admitted = self._clock()
            self._cached = cached_tokens

    def prefilled(self, tokens: int) -> None:
        """So many tokens of the prompt were computed."""
        assert self._admitted is not None, "prefilled before admitted"
        if self._first is None:
            self._computed += tokens

    def tokens(self, generated: int) -> None:
        """So many tokens were generated."""
        assert self._admitted is not None, "a token before admitted"
        self._last = self._clock()
        if self._first is None:
            self._first = self._last
        self._generated += generated

    def drafted(self, tokens: int, accepted: int) -> None:
        """So many tokens were guessed ahead in this step, and so many of them were right."""
        self._drafted += tokens
        self._accepted += accepted

    def speculated(self, saved_ms: float, risked_ms: float) -> None:
        """What guessing has saved in all until now, and what it had cost when it stood worst."""
        self._saved_ms, self._risked_ms = saved_ms, risked_ms

    def timings(self, load_ms: float = 0.0) -> Timings:
        """What is known now; a phase that has not ended lasts until now, decoding until its last token."""
        now = self._clock()
        admitted = now if self._admitted is None else self._admitted
        first = now if self._first is None else self._first
        last = first if self._first is None else self._last
        return Timings(
            cache_n=self._cached,
            prompt_n=self._computed,
            prompt_ms=1000.0 * (first - admitted),
            predicted_n=self._generated,
            predicted_ms=1000.0 * (last - first),
            queue_ms=1000.0 * (admitted - self._queued),
            load_ms=load_ms,
            draft_n=self._drafted,
            draft_n_accepted=self._accepted,
            draft_saved_ms=self._saved_ms,
            draft_risked_ms=self._risked_ms,
        )
