"""A backend that gives its rows out before they are computed: what can wait is done in that time."""

from __future__ import annotations

import pytest

from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, FakeRows
from edgellm.engine.speculative.proposer import NoProposer, StepRecord
from tests.engine.test_engine import Clock, alone, drain, engine, job


class Late(FakeBackend):
    """Gives its rows out before they are computed, as on a GPU; that takes `seconds` in all."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def decode(self, batch: Batch) -> FakeRows:
        rows, ready = super().decode(batch), self.clock.now + self.seconds
        rows.wait = lambda: setattr(self.clock, "now", max(self.clock.now, ready))  # type: ignore[method-assign]
        return rows


class Busy(NoProposer):
    """Has work for so many seconds, and hears what steps took."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.steps: list[StepRecord] = []

    def meanwhile(self) -> None:
        self.clock.now += self.seconds

    def stepped(self, step: StepRecord) -> None:
        self.steps.append(step)


@pytest.mark.parametrize(("work", "whole"), [(0.0, 10.0), (4.0, 10.0), (15.0, 15.0)])
def test_what_can_wait_is_done_while_a_gpu_computes(work: float, whole: float) -> None:
    clock = Clock()
    proposer = Busy(clock, work)
    e = engine(Late(clock, 10.0), clock=clock, proposer=proposer)
    e.submit(job(1, [1, 2, 3], 6))
    assert drain(e)[1].tokens == alone([1, 2, 3], 6)
    assert len(proposer.steps) == 5
    for step in proposer.steps:
        assert step.whole_s == pytest.approx(whole, abs=0.1)
        assert step.decode_s == pytest.approx(whole - work, abs=0.1)
