"""`Traffic`: the requests that run, those that ended lately, and counts of all since the start."""

from __future__ import annotations

from collections import Counter, deque

from edgellm.server.record import Record
from edgellm.telemetry.metrics import FINE_SECONDS, SECONDS, Histogram

LATELY = 50
LONG_SECONDS = (*SECONDS, 300.0, 600.0)


class Answers:
    """Of one model and operation: how long answers took, until their first piece, and a token."""

    def __init__(self) -> None:
        self.duration = Histogram("duration", "", LONG_SECONDS)
        self.first = Histogram("first", "", SECONDS)
        self.per_token = Histogram("per_token", "", FINE_SECONDS)
        self.prompt_tokens = self.completion_tokens = 0

    def add(self, record: Record) -> None:
        self.duration.observe(record.seconds)
        if record.first is not None:
            self.first.observe(record.first - record.begin)
        if record.tokens_per_second:
            self.per_token.observe(1.0 / record.tokens_per_second)
        self.prompt_tokens += record.prompt_tokens
        self.completion_tokens += record.completion_tokens


class Traffic:
    """One event loop feeds it. Labels are few: routes and models are those that exist, statuses those that are sent."""

    def __init__(self) -> None:
        self.active: dict[int, Record] = {}
        self.lately: deque[Record] = deque(maxlen=LATELY)
        self.requests: Counter[tuple[str, int]] = Counter()
        self.answers: dict[tuple[str, str, str], Answers] = {}

    def begin(self, record: Record) -> None:
        self.active[id(record)] = record

    def end(self, record: Record) -> None:
        del self.active[id(record)]
        self.lately.append(record)
        self.requests[record.route, record.status] += 1
        if record.model:
            key = (record.model, operation(record.route), record.error)
            self.answers.setdefault(key, Answers()).add(record)


def operation(route: str) -> str:
    """OpenTelemetry's word for what a route does."""
    if "embed" in route:
        return "embeddings"
    text = ("/v1/completions", "/api/generate", "/infill", "/completion")
    return "text_completion" if route in text else "chat"
