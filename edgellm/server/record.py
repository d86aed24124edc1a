"""`Record`: what is known of one HTTP request while it runs and after it: figures and names, never what was said."""

from __future__ import annotations

import time
from contextvars import ContextVar

from edgellm.events import Event, Failed, Finished, Reasoning, Started, Text, ToolArguments, ToolStart

HUNG_UP = 499
"""nginx's word for a client that left before its answer; never sent."""


class Record:
    """`path` is what was asked for, `route` (once it ended) the route's own path, and "other" where there is none.

    Times are seconds of `time.monotonic`; `status` is 0 until the answer has begun, `deadline` None for no limit.

    While an answer runs, `completion_tokens` counts its pieces; when a choice ends, its exact count takes their place.
    """

    __slots__ = (
        "_pieces",
        "begin",
        "cached_tokens",
        "completion_tokens",
        "deadline",
        "end",
        "error",
        "first",
        "id",
        "key",
        "last",
        "method",
        "model",
        "path",
        "prompt_tokens",
        "route",
        "status",
    )

    def __init__(self, id: str, method: str, path: str, deadline: float | None = None) -> None:
        self.id, self.method, self.path = id, method, path
        self.deadline = deadline
        self.key = self.model = self.error = self.route = ""
        self.status = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.begin = time.monotonic()
        self.first: float | None = None
        self.last: float | None = None
        self.end: float | None = None
        self._pieces: dict[int, int] = {}

    def add(self, event: Event) -> None:
        """Account for one event of the answer."""
        match event:
            case Text() | Reasoning() | ToolStart() | ToolArguments():
                self.last = time.monotonic()
                if self.first is None:
                    self.first = self.last
                self._pieces[event.choice] = self._pieces.get(event.choice, 0) + 1
                self.completion_tokens += 1
            case Started():
                self.prompt_tokens = max(self.prompt_tokens, event.prompt_tokens)
                self.cached_tokens = max(self.cached_tokens, event.cached_tokens)
            case Finished():
                self.completion_tokens += event.usage.completion_tokens - self._pieces.pop(event.choice, 0)
            case Failed():
                self.error = event.code

    @property
    def seconds(self) -> float:
        """How long it took, or takes until now."""
        return (self.end or time.monotonic()) - self.begin

    @property
    def tokens_per_second(self) -> float:
        """Of the answer, its first token left out; 0 where there is not enough of it."""
        if self.first is None or self.last is None or self.last <= self.first:
            return 0.0
        return (self.completion_tokens - 1) / (self.last - self.first)


current: ContextVar[Record | None] = ContextVar("record", default=None)
"""The request that this task answers."""
