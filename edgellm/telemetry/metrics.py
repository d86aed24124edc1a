"""Counters and histograms that any thread may feed, and snapshots of them that cross process boundaries.

Our own, because importing prometheus_client takes over 70 ms and its objects cannot leave their process; the server
turns a `Snapshot` into its text format.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from edgellm.events import Timings

# Seconds. Roughly 1, 2.5 and 5 of each power of ten, wide enough for a phone and for a server.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
FINE_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, *SECONDS[:10])


class CounterSnapshot(msgspec.Struct, frozen=True):
    """`values` by the value of the one label; the only key is "" when `label` is ""."""

    name: str
    description: str
    label: str
    values: dict[str, float]


class HistogramSnapshot(msgspec.Struct, frozen=True):
    """`counts[i]` values were at most `bounds[i]` and above the bound before; the one more entry counts the rest."""

    name: str
    description: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Snapshot(msgspec.Struct, frozen=True):
    counters: tuple[CounterSnapshot, ...] = ()
    histograms: tuple[HistogramSnapshot, ...] = ()


class Counter:
    """A number that only grows, one for each value of a label if it has one."""

    def __init__(self, name: str, description: str, label: str = "") -> None:
        self.name, self.description, self.label = name, description, label
        self._values: dict[str, float] = {} if label else {"": 0.0}
        self._lock = threading.Lock()

    def add(self, amount: float = 1.0, label: str = "") -> None:
        assert amount >= 0, f"{self.name} cannot shrink"
        assert bool(label) == bool(self.label), f"{self.name} takes the label {self.label!r}"
        with self._lock:
            self._values[label] = self._values.get(label, 0.0) + amount

    def snapshot(self) -> CounterSnapshot:
        with self._lock:
            return CounterSnapshot(self.name, self.description, self.label, dict(self._values))


class Histogram:
    """How often values fell between fixed, rising `bounds` (an upper bound belongs to its bucket)."""

    def __init__(self, name: str, description: str, bounds: Sequence[float] = SECONDS) -> None:
        assert list(bounds) == sorted(set(bounds)), f"the bounds of {name} must rise"
        self.name, self.description, self.bounds = name, description, tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        bucket = bisect_left(self.bounds, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value

    def snapshot(self) -> HistogramSnapshot:
        with self._lock:
            return HistogramSnapshot(self.name, self.description, self.bounds, tuple(self._counts), self._sum)


class Registry:
    """The metrics of one process or model; names are unique in it."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def counter(self, name: str, description: str, label: str = "") -> Counter:
        self._claim(name)
        return self._counters.setdefault(name, Counter(name, description, label))

    def histogram(self, name: str, description: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        self._claim(name)
        return self._histograms.setdefault(name, Histogram(name, description, bounds))

    def _claim(self, name: str) -> None:
        assert name not in self._counters and name not in self._histograms, f"{name} exists already"

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tuple(counter.snapshot() for counter in self._counters.values()),
            tuple(histogram.snapshot() for histogram in self._histograms.values()),
        )


class ModelMetrics:
    """What is counted of one model, under the names that every surface shows."""

    def __init__(self, registry: Registry) -> None:
        counter, histogram = registry.counter, registry.histogram
        self.requests = counter("edgellm_requests_total", "Choices that ended, by outcome.", "outcome")
        self.prefilled = counter("edgellm_tokens_prefilled_total", "Prompt tokens computed.")
        self.reused = counter("edgellm_tokens_reused_total", "Prompt tokens taken from the prefix cache.")
        self.drafted = counter("edgellm_tokens_drafted_total", "Tokens guessed ahead.")
        self.accepted = counter("edgellm_tokens_drafted_accepted_total", "Tokens guessed ahead that were right.")
        self.generated = counter("edgellm_tokens_generated_total", "Tokens generated.")
        self.queue = histogram("edgellm_queue_seconds", "Time a request waited before its prompt was computed.")
        self.first_token = histogram("edgellm_time_to_first_token_seconds", "Time from arrival to the first token.")
        self.decode = histogram("edgellm_decode_seconds_per_token", "Mean time between tokens.", FINE_SECONDS)

    def ended(self, outcome: str, timings: Timings) -> None:
        """Count one choice; `outcome` is a finish reason, an error's code or "cancelled"."""
        self.requests.add(label=outcome)
        self.prefilled.add(timings.prompt_n)
        self.reused.add(timings.cache_n)
        self.generated.add(timings.predicted_n)
        self.drafted.add(timings.draft_n)
        self.accepted.add(timings.draft_n_accepted)
        self.queue.observe(timings.queue_ms / 1000.0)
        if timings.predicted_n > 0:
            self.first_token.observe((timings.queue_ms + timings.load_ms + timings.prompt_ms) / 1000.0)
        if timings.predicted_n > 1:
            self.decode.observe(timings.predicted_ms / 1000.0 / (timings.predicted_n - 1))
