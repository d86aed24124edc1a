"""Tests of `edgellm.telemetry.metrics`."""

import sys
import threading

import msgspec
import pytest

from edgellm.events import Timings
from edgellm.telemetry.metrics import Counter, Histogram, ModelMetrics, Registry, Snapshot


def _counters(registry: Registry) -> dict[str, dict[str, float]]:
    return {counter.name: counter.values for counter in registry.snapshot().counters}


def _sums(registry: Registry) -> dict[str, tuple[int, float]]:
    return {histogram.name: (sum(histogram.counts), histogram.sum) for histogram in registry.snapshot().histograms}


def test_a_counter_starts_at_zero_and_adds_up() -> None:
    counter = Counter("c", "words")
    assert counter.snapshot().values == {"": 0.0}
    counter.add()
    counter.add(2.5)
    assert counter.snapshot().values == {"": 3.5}


def test_a_counter_with_a_label_counts_each_value() -> None:
    counter = Counter("c", "words", "outcome")
    counter.add(label="stop")
    counter.add(label="stop")
    counter.add(label="length")
    assert counter.snapshot().values == {"stop": 2.0, "length": 1.0}


def test_counters_do_not_shrink_or_mix_labels() -> None:
    with pytest.raises(AssertionError):
        Counter("c", "words").add(-1)
    with pytest.raises(AssertionError):
        Counter("c", "words").add(label="stop")
    with pytest.raises(AssertionError):
        Counter("c", "words", "outcome").add()


def test_an_upper_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram("h", "words", (1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1, 50.0):
        histogram.observe(value)
    snapshot = histogram.snapshot()
    assert snapshot.counts == (2, 2, 2)
    assert snapshot.sum == pytest.approx(56.6)


def test_bounds_rise() -> None:
    with pytest.raises(AssertionError):
        Histogram("h", "words", (1.0, 1.0))


def test_no_count_is_lost_between_threads() -> None:
    counter, histogram = Counter("c", "words"), Histogram("h", "words", (1.0,))

    def feed() -> None:
        for _ in range(2000):
            counter.add()
            histogram.observe(0.5)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=feed) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert counter.snapshot().values == {"": 8000.0}
    assert histogram.snapshot().counts == (8000, 0)


def test_names_are_unique() -> None:
    registry = Registry()
    registry.counter("x", "words")
    with pytest.raises(AssertionError):
        registry.histogram("x", "words")


def test_a_snapshot_stands_still_and_crosses_a_process_boundary() -> None:
    registry = Registry()
    metrics = ModelMetrics(registry)
    metrics.requests.add(label="stop")
    before = registry.snapshot()
    metrics.requests.add(label="stop")
    metrics.queue.observe(1.0)
    assert before != registry.snapshot()
    assert before.counters[0].values == {"stop": 1.0}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Snapshot) == before


def test_an_ended_choice_is_counted() -> None:
    registry = Registry()
    timings = Timings(
        cache_n=3,
        prompt_n=7,
        prompt_ms=200.0,
        predicted_n=5,
        predicted_ms=400.0,
        queue_ms=50.0,
        load_ms=1000.0,
        draft_n=4,
        draft_n_accepted=3,
    )
    ModelMetrics(registry).ended("length", timings)
    assert _counters(registry) == {
        "edgellm_requests_total": {"length": 1.0},
        "edgellm_tokens_prefilled_total": {"": 7.0},
        "edgellm_tokens_reused_total": {"": 3.0},
        "edgellm_tokens_drafted_total": {"": 4.0},
        "edgellm_tokens_drafted_accepted_total": {"": 3.0},
        "edgellm_tokens_generated_total": {"": 5.0},
    }
    sums = _sums(registry)
    assert sums["edgellm_queue_seconds"] == (1, pytest.approx(0.05))
    assert sums["edgellm_time_to_first_token_seconds"] == (1, pytest.approx(1.25))
    assert sums["edgellm_decode_seconds_per_token"] == (1, pytest.approx(0.1))


@pytest.mark.parametrize(("generated", "first", "decode"), [(0, 0, 0), (1, 1, 0), (2, 1, 1)])
def test_phases_that_did_not_happen_are_not_observed(generated, first, decode) -> None:
    registry = Registry()
    ModelMetrics(registry).ended("cancelled", Timings(predicted_n=generated))
    sums = _sums(registry)
    assert sums["edgellm_time_to_first_token_seconds"][0] == first
    assert sums["edgellm_decode_seconds_per_token"][0] == decode
