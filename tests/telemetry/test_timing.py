"""Tests of `edgellm.telemetry.timing`, on a clock of their own."""

import pytest

from edgellm.events import Timings
from edgellm.telemetry.timing import Stopwatch


class _Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_a_whole_request(clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 0.5
    watch.admitted(cached_tokens=7)
    clock.now += 0.25
    watch.prefilled(128)
    clock.now += 0.25
    watch.prefilled(2)
    watch.tokens(1)
    for _ in range(3):
        clock.now += 0.125
        watch.tokens(1)
    clock.now += 99
    assert watch.timings(load_ms=3.0) == Timings(
        cache_n=7,
        prompt_n=130,
        prompt_ms=500.0,
        predicted_n=4,
        predicted_ms=375.0,
        queue_ms=500.0,
        load_ms=3.0,
    )
    assert watch.timings().predicted_per_second == 8.0


def test_while_it_waits_only_the_queue_grows(clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 2.0
    assert watch.timings() == Timings(queue_ms=2000.0)


def test_cut_off_during_prefill(clock) -> None:
    watch = Stopwatch(clock)
    watch.admitted()
    watch.prefilled(10)
    clock.now += 1.0
    assert watch.timings() == Timings(prompt_n=10, prompt_ms=1000.0)


def test_a_preempted_request_keeps_its_first_queue_time_and_prompt(clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 1.0
    watch.admitted(cached_tokens=4)
    watch.prefilled(6)
    watch.tokens(1)
    clock.now += 1.0
    watch.admitted(cached_tokens=9)
    watch.prefilled(11)
    watch.tokens(1)
    timings = watch.timings()
    assert (timings.queue_ms, timings.cache_n, timings.prompt_n) == (1000.0, 4, 6)
    assert (timings.predicted_n, timings.predicted_ms) == (2, 1000.0)


@pytest.mark.parametrize("step", [lambda watch: watch.tokens(1), lambda watch: watch.prefilled(1)])
def test_nothing_is_computed_in_the_queue(step, clock) -> None:
    with pytest.raises(AssertionError):
        step(Stopwatch(clock))
