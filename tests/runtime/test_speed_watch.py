"""What decoding is seen to cost, and what is put down of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgellm.backends.batch import Chunk
from edgellm.backends.fake import FakeBackend
from edgellm.fit.placement import Placement
from edgellm.fit.speed import KIND, predict, work
from edgellm.machine.measurements import DecodeSpeed, Key, Measurements
from edgellm.runtime.speed_watch import FEWEST_STEPS, Seen, WatchedBackend, record
from tests.fit import examples


class Clock:
    """Goes on by what each decode is told to take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps: Iterator[float] = iter(())

    def __call__(self) -> float:
        self.now += next(self.steps, 0.0)
        return self.now


@pytest.fixture
def heard() -> list[Seen]:
    return []


@pytest.fixture
def backend(heard: list[Seen]) -> WatchedBackend:
    return WatchedBackend(FakeBackend(), heard.append, Clock())


def decode(backend: WatchedBackend, *chunks: tuple[int, int, int], seconds: float = 0.0) -> None:
    backend._clock.steps = iter((0.0, seconds))  # type: ignore[attr-defined]
    rows = backend.decode([Chunk(slot, start, (1,) * count, 1) for slot, start, count in chunks])
    assert len(rows) == len(chunks) and rows.argmax(0) == int(rows.logits(0).argmax())
    rows.wait()


def test_steps_of_one_sequence_tell_the_speed(backend: WatchedBackend, heard: list[Seen]) -> None:
    decode(backend, (0, 0, 200), seconds=2.0)
    for index in range(FEWEST_STEPS):
        decode(backend, (0, 200 + index, 1), seconds=0.05 if index else 9.0)
    backend.close()
    (seen,) = heard
    assert seen.ms_per_token == pytest.approx(50) and seen.steps == FEWEST_STEPS
    assert seen.context == pytest.approx(200 + (FEWEST_STEPS - 1) / 2)
    assert seen.prefill_tokens_per_s == pytest.approx(100)


def test_steps_of_several_sequences_tell_nothing(backend: WatchedBackend, heard: list[Seen]) -> None:
    decode(backend, (0, 0, 10), (1, 0, 10))
    for index in range(2 * FEWEST_STEPS):
        decode(backend, (0, 10 + index, 1), (1, 10 + index, 1), seconds=0.01)
    backend.close()
    assert heard == []


def test_a_few_steps_are_not_enough(backend: WatchedBackend, heard: list[Seen]) -> None:
    decode(backend, (0, 0, 10))
    for index in range(FEWEST_STEPS - 1):
        decode(backend, (0, 10 + index, 1), seconds=0.01)
    backend.close()
    backend.close()
    assert heard == []


def test_what_is_kept_brings_later_predictions_right(tmp_path: Path) -> None:
    machine, facts, placed = examples.machine(), examples.model(), Placement(context=8192)
    kept = Measurements(tmp_path)
    key = Key(model="m", build="b", threads=8, machine=machine.id)
    record(Seen(123.0, 500.0, 40, 77.0), facts, placed, key, kept)
    known: Any = kept.all(KIND, DecodeSpeed)
    assert known[0][1].bytes_per_token == work(facts, placed, 500).all
    speed = predict(facts, placed, machine, known, context=500, model="m")
    assert speed.decode == pytest.approx(1000 / 123)
    assert speed.prefill == pytest.approx(77)
    assert speed.basis == "measured"
