"""The engine with a draft model: the text is the target's own, whatever the drafter is, has room for, or fails at."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, Script, hashed
from edgellm.engine.engine import Engine
from edgellm.engine.scheduler import Budget
from edgellm.engine.sequence import Job
from edgellm.engine.speculative.draft_model import DraftModel
from edgellm.errors import BackendError
from edgellm.request import GREEDY, SamplingParams
from tests.doubles.eager_drafts import EagerDrafts
from tests.doubles.timed_engine import CURVES, TimedEngine

SAMPLED = SamplingParams(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0)
WRONG: Script = lambda history: 65 + hashed(history) % 2  # noqa: E731
SOMETIMES: Script = lambda history: hashed(history) if len(history) % 3 else 65  # noqa: E731


def clock() -> Any:
    ticks = itertools.count()
    return lambda: next(ticks) / 1000


def engine(draft: FakeBackend | None = None, cells: int = 4096) -> tuple[Engine, EagerDrafts | None]:
    target = FakeBackend(limits=Limits(cells=cells, slots=8, batch=64, rows=32))
    proposer = EagerDrafts(DraftModel(draft, 260, clock=clock())) if draft is not None else None
    budget = Budget(batch=64, rows=32, beside=16, parallel=4, queue=100)
    return Engine(target, clock=clock(), budget=budget, proposer=proposer), proposer


def jobs(count: int, params: SamplingParams = GREEDY) -> list[Job]:
    shared = list(range(40))
    return [
        Job(id=i, prompt=[*shared[: 3 * i + 1], 100 + i], params=params, seed=i, max_tokens=10 + 5 * i)
        for i in range(count)
    ]


def texts(e: Engine, wanted: list[Job]) -> dict[int, list[int]]:
    for job in wanted:
        e.submit(job)
    found: dict[int, list[int]] = {job.id: [] for job in wanted}
    while e.busy:
        for update in e.step():
            assert update.error is None
            found[update.id] += update.tokens
    return found


@pytest.mark.parametrize("params", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("cells", [4096, 75], ids=["roomy", "preempting"])
@pytest.mark.parametrize("script", [hashed, WRONG, SOMETIMES], ids=["same", "wrong", "sometimes"])
@pytest.mark.parametrize("draft_cells", [4096, 120], ids=["draft cells", "few draft cells"])
def test_the_text_is_that_of_plain_decoding(
    script: Script, cells: int, params: SamplingParams, draft_cells: int
) -> None:
    plain, _ = engine(cells=cells)
    draft = FakeBackend(script, limits=Limits(cells=draft_cells, slots=3, batch=64, rows=8))
    speculating, proposer = engine(draft, cells)
    assert texts(speculating, jobs(8, params)) == texts(plain, jobs(8, params))
    assert proposer is not None and proposer.drafted > 0 and not proposer.open
    if script is WRONG:
        assert proposer.accepted == 0
    if script is hashed and params is GREEDY:
        assert proposer.accepted == proposer.drafted
        assert speculating.counters.steps < plain.counters.steps
    if cells == 75:
        assert speculating.counters.preemptions > 0


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_cancelling_gives_back_what_the_drafter_held(first: int, second: int) -> None:
    draft = FakeBackend(limits=Limits(cells=300, slots=3, batch=64, rows=8))
    e, proposer = engine(draft)
    for job in jobs(4):
        e.submit(job)
    for step in range(40):
        if step == first:
            e.cancel(1)
        if step == second:
            e.cancel(2)
        e.step()
        assert proposer is not None and draft.cells_used == proposer.drafter.cache.used
    assert not proposer.open
    proposer.drafter.cache.clear()
    assert draft.cells_used == 0


def test_a_drafter_that_fails_costs_no_request() -> None:
    decodes = itertools.count()

    def fail(batch: Batch) -> None:
        if next(decodes) % 5 == 3:
            raise BackendError("out of memory")

    e, proposer = engine(FakeBackend(before_decode=fail))
    plain, _ = engine()
    assert texts(e, jobs(6)) == texts(plain, jobs(6))
    assert proposer is not None and proposer.drafted > 0


def measured(draft: Script = hashed, batch: int = 512) -> tuple[TimedEngine, list[Job], dict[int, list[int]]]:
    """An engine that measures, where a draft model would pay, a long request, and its text by plain decoding."""
    limits = Limits(cells=8192, slots=16, batch=batch, rows=64)
    job = Job(
        id=1, prompt=[65 + i % 26 for i in range(400)], params=GREEDY, seed=1, max_tokens=600, speculation="draft"
    )
    plain = TimedEngine(CURVES["flat"], limits=limits, budget={"batch": batch}, plain=True).run([job])
    timed = TimedEngine(CURVES["flat"], limits=limits, budget={"batch": batch}, draft=(draft, 1.0))
    timed.calibrate()
    return timed, [job], {id: update.tokens for id, update in plain.items()}


def test_a_step_in_which_the_drafter_only_caught_up_is_one_without_drafts() -> None:
    timed, wanted, expected = measured(batch=128)
    done = timed.run(wanted)
    assert {id: update.tokens for id, update in done.items()} == expected
    timings = done[1].timings
    assert timings is not None and timings.draft_n_accepted > 300


def test_a_drafter_that_guesses_what_the_target_does_not_know_is_as_good_as_none() -> None:
    timed, wanted, expected = measured(lambda history: 259)
    assert timed.proposer.drafter is not None
    timed.proposer.drafter._size = 259
    done = timed.run(wanted)
    assert {id: update.tokens for id, update in done.items()} == expected
    timings = done[1].timings
    assert timings is not None and timings.draft_n == 0


@given(st.lists(st.booleans(), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_a_drafter_that_fails_now_and_then_costs_a_measuring_engine_no_request(fails: list[bool]) -> None:
    timed, wanted, expected = measured(batch=128)
    assert timed.proposer.drafter is not None
    backend, decodes = timed.proposer.drafter.backend, itertools.cycle(fails)
    assert isinstance(backend, FakeBackend)
    spend = backend._before_decode

    def fail(batch: Batch) -> None:
        if next(decodes):
            raise BackendError("out of memory")
        spend(batch)

    backend._before_decode = fail
    assert {id: update.tokens for id, update in timed.run(wanted).items()} == expected
