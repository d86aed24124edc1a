"""Several sequences at once on virtual time: nothing is lost, though they come and go and their contexts cost."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative.loss_account import SHARE
from tests.doubles.timed_engine import CURVES, TimedEngine, jagged
from tests.engine.speculative.test_adaptive import answered, copier, job, text


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_together_nothing_is_lost_and_copies_gain_where_rows_are_cheap(curve: str, count: int) -> None:
    source = text(200)
    took = []
    for plain in (False, True):
        timed = TimedEngine(CURVES[curve], copier(source, 0.02), plain=plain)
        timed.calibrate()
        begin = timed.clock.now
        timed.run([job(id, [id, *source, 10], 200) for id in range(count)])
        took.append(timed.clock.now - begin)
    assert took[1] / took[0] >= 0.99
    if curve == "flat":
        assert took[1] / took[0] > 1.5


def cheap(rows: int) -> float:
    """Of sixteen cores."""
    return float(np.interp(rows, [1, 2, 4, 8, 16, 32, 64], [21, 29, 33, 41, 53, 89, 219]))


@pytest.mark.parametrize(("count", "least"), [(2, 2.4), (4, 1.65), (8, 1.2)])
def test_each_with_a_copy_of_its_own_gains_though_all_lose_by_turns(count: int, least: float) -> None:
    """Where a copy is broken off its request pays for the others' drafts, and must not stop them for good by that."""
    sources = [text(300, id) for id in range(count)]
    copies = [copier(source, 0.02, id) for id, source in enumerate(sources)]
    took = []
    for plain in (False, True):
        timed = TimedEngine(cheap, lambda history: copies[history[0]](history), plain=plain)
        timed.calibrate()
        begin = timed.clock.now
        done = timed.run([job(id, [id, *sources[id], 10], 250) for id in range(count)])
        took.append(timed.clock.now - begin)
        for timings in (update.timings for update in done.values()):
            assert timings is not None
            assert timings.draft_risked_ms <= SHARE * (timings.prompt_ms + timings.predicted_ms) + 1.0
    assert took[1] / took[0] > least


def test_what_it_takes_to_let_one_go_is_not_charged_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of it may push other texts out of the KV, which are saved to host memory then."""
    sources = [text(300, id) for id in range(8)]
    timed = TimedEngine(cheap, lambda history: copier(sources[history[0]])(history))
    timed.calibrate()
    remove = timed.engine.scheduler.remove

    def slow(sequence: Sequence, *, keep: bool = True) -> None:
        remove(sequence, keep=keep)
        timed.clock.now += 1.0

    monkeypatch.setattr(timed.engine.scheduler, "remove", slow)
    done = timed.run([job(id, [id, *sources[id], 10], 60 + 25 * id) for id in range(8)])
    for timings in (update.timings for update in done.values()):
        assert timings is not None and timings.draft_n_accepted
        assert timings.draft_risked_ms <= SHARE * (timings.prompt_ms + timings.predicted_ms) + 1.0
    assert timed.times.host < 1.0


def test_a_round_takes_as_long_for_the_first_that_was_looked_at_as_for_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = text(200)
    timed = TimedEngine(CURVES["flat"], copier(source))
    timed.calibrate()
    commit = timed.proposer.commit

    def slow(sequence: Sequence, drafted: int, accepted: int) -> None:
        commit(sequence, drafted, accepted)
        timed.clock.now += 0.002

    monkeypatch.setattr(timed.proposer, "commit", slow)
    done = timed.run([job(id, [id, *source, 10], 150) for id in range(4)])
    saved = [update.timings.draft_saved_ms for update in done.values() if update.timings]
    assert len(saved) == 4 and min(saved) > 500
    assert saved == pytest.approx(saved[:1] * 4)


def test_under_full_load_it_fades_out() -> None:
    source = text(150)
    timed = TimedEngine(lambda rows: 20.0 + 2.0 * rows, copier(source, 0.3), budget={"rows": 16, "parallel": 16})
    done = answered(timed, [job(id, [id, *source, 10], 150) for id in range(16)])
    assert sum(update.timings.draft_n for update in done.values() if update.timings) < 200


@given(
    st.sampled_from(["jagged", "step", "linear"]),
    st.integers(2, 16),
    st.floats(0, 0.3),
    st.floats(0, 40),
    st.integers(0, 2**16),
)
@settings(max_examples=30, deadline=None)
def test_no_request_loses_more_than_its_share_where_others_leave(
    curve: str, count: int, wrong: float, each: float, seed: int
) -> None:
    """What steps take goes by how many are left and by what they hold, which no calibration has told."""
    chance = random.Random(seed)
    source = text(300, seed)
    timed = TimedEngine(CURVES[curve], copier(source, wrong, seed), each=each)
    lengths = [chance.randrange(40, 160) for _ in range(count)]
    done = answered(timed, [job(id, [id, *source, 10], length) for id, length in enumerate(lengths)])
    for length, update in zip(lengths, (done[id] for id in range(count)), strict=True):
        timings = update.timings
        assert timings is not None
        whole = max(timings.prompt_ms + timings.predicted_ms, timings.prompt_ms + 0.8 * CURVES[curve](1) * length)
        assert timings.draft_risked_ms <= SHARE * whole + 1.0


def test_what_one_sequence_is_known_to_take_stays_as_it_is_while_there_are_several() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source), each=25.0)
    timed.calibrate()
    before = {rows: timed.times.at(rows) for rows in timed.times.points}
    done = timed.run([job(id, [id, *source, 10], 300) for id in range(6)])
    assert sum(update.timings.draft_n_accepted for update in done.values() if update.timings) > 300
    assert {rows: timed.times.at(rows) for rows in before} == pytest.approx(before, rel=0.02)


def test_nothing_is_drafted_before_plain_steps_of_so_many_were_seen() -> None:
    source = text(200)
    timed = TimedEngine(CURVES["flat"], copier(source))
    timed.calibrate()
    for id in range(4):
        timed.engine.submit(job(id, [id, *source, 10], 200))
    told = []
    while not timed.engine.counters.drafted:
        timed.engine.step()
        told.append(timed.proposer.status().reason)
    assert told.count("steps of so many requests at once are being timed") == 5
    assert timed.times.at(4, 4) == pytest.approx(20.0, rel=0.01)
