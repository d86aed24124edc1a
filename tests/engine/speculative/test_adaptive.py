"""The whole of it on virtual time: texts stay what they were, copies gain, nothing loses, load makes it fade."""

from __future__ import annotations

import random
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeRows, Script, hashed
from edgellm.engine.sequence import Job, Update
from edgellm.engine.speculative.loss_account import SHARE
from edgellm.errors import BackendError
from edgellm.request import GREEDY, SamplingParams, Speculation
from tests.doubles.timed_engine import CURVES, TimedEngine, jagged

SAMPLED = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def text(length: int, seed: int = 1) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(97, 97 + 26) for _ in range(length)]


def copier(source: list[int], wrong: float = 0.0, seed: int = 1) -> Script:
    """Writes `source` after the prompt's end (token 10), but for a part `wrong` of its tokens; letters elsewhere."""
    chance = random.Random(seed)
    answer = [token if chance.random() >= wrong else 48 + place % 10 for place, token in enumerate(source)]

    def script(history: Seq[int]) -> int:
        end = max((at for at, token in enumerate(history) if token == 10), default=-1)
        place = len(history) - end - 1
        return answer[place] if 0 <= place < len(answer) else hashed(history)

    return script


def job(id: int, prompt: list[int], n: int, mode: Speculation = "auto", **options: Any) -> Job:
    params = options.pop("params", GREEDY)
    return Job(id=id, prompt=prompt, params=params, seed=id, max_tokens=n, speculation=mode, **options)


def answered(timed: TimedEngine, jobs: list[Job]) -> dict[int, Update]:
    timed.calibrate()
    return timed.run(jobs)


def speedup(curve: str, script: Script, prompt: list[int], n: int, **options: Any) -> tuple[float, TimedEngine]:
    """Of the second such request: the first one teaches."""
    took = []
    for plain in (False, True):
        timed = TimedEngine(CURVES[curve], script, plain=plain, **options)
        done = answered(timed, [job(1, prompt, n)])
        done = timed.run([job(2, prompt, n)])
        assert done[2].timings is not None
        took.append(done[2].timings.predicted_ms)
        if not plain:
            best = timed
    return took[1] / took[0], best


# -- gains and losses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("curve", "least"), [("jagged", 2.4), ("flat", 20.0), ("step", 4.0), ("linear", 0.999)])
def test_copies_gain_what_the_curve_allows(curve: str, least: float) -> None:
    source = text(600)
    found, timed = speedup(curve, copier(source), [*source, 10], 600)
    assert found >= least
    assert timed.proposer.status().state == "on"


@pytest.mark.parametrize("curve", CURVES)
def test_new_text_loses_nothing(curve: str) -> None:
    found, _ = speedup(curve, hashed, text(300), 600)
    assert found >= 1 / (1 + SHARE)


@pytest.mark.parametrize("wrong", [0.02, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("curve", CURVES)
def test_copies_with_changes_never_lose(curve: str, wrong: float) -> None:
    source = text(800)
    found, _ = speedup(curve, copier(source, wrong), [*source, 10], 800)
    assert found >= 1 / (1 + SHARE)
    if curve != "linear" and wrong <= 0.02:
        assert found > 1.5


@given(
    st.sampled_from(sorted(CURVES)),
    st.floats(0, 0.6),
    st.integers(0, 2**16),
    st.integers(20, 400),
    st.integers(0, 300),
)
@settings(max_examples=30, deadline=None)
def test_no_request_loses_more_than_its_share_and_one_bounded_round(
    curve: str, wrong: float, seed: int, copied: int, invented: int
) -> None:
    source = text(copied, seed)
    timed = TimedEngine(CURVES[curve], copier(source, wrong, seed))
    done = answered(timed, [job(id, [*source, 10], copied + invented) for id in range(1)])
    timings = done[0].timings
    assert timings is not None
    whole = timings.prompt_ms + timings.predicted_ms
    # What a round may stake goes by how long the request is expected to take; it may end sooner by its own speed.
    whole = max(whole, timings.prompt_ms + 0.8 * CURVES[curve](1) * (copied + invented))
    assert timings.draft_risked_ms <= SHARE * whole + 1.0
    assert -timings.draft_saved_ms <= SHARE * whole + 1.0


@pytest.mark.parametrize("wrong", [0.01, 0.05])
def test_it_comes_near_the_best_fixed_length(wrong: float) -> None:
    source = text(1200)
    found, _ = speedup("jagged", copier(source, wrong), [*source, 10], 1200)
    alpha = 1 - wrong
    fixed = max(
        sum(alpha**j for j in range(k + 1)) * jagged(1) / jagged(k + 1) for k in (0, 1, 3, 5, 7, 11, 15, 23, 31, 47, 63)
    )
    assert found >= 0.78 * fixed


# -- the text is the same -------------------------------------------------------------------------------------------


@given(
    st.sampled_from([4096, 500, 260]),
    st.booleans(),
    st.floats(0, 0.3),
    st.integers(0, 2**16),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_texts_and_logprobs_are_those_of_plain_decoding(
    cells: int, sampled: bool, wrong: float, seed: int, with_draft: bool
) -> None:
    """Many at once, preempted and computed again, with prefixes shared, stopped by tokens, greedy and drawn."""
    source = text(60, seed)
    script = copier(source, wrong, seed)
    chance = random.Random(seed)
    jobs = [
        job(
            id,
            [*source[: chance.randrange(30, 60)], *text(chance.randrange(5), id), 10],
            chance.randrange(1, 90),
            chance.choice(["auto", "auto", "ngram", "off"]),
            params=SAMPLED if sampled else GREEDY,
            logprobs=1,
            stop_tokens=frozenset({chance.randrange(97, 123)}) if chance.random() < 0.3 else frozenset(),
            priority=chance.choice(["interactive", "batch"]),
        )
        for id in range(10)
    ]
    found = []
    for plain in (False, True):
        timed = TimedEngine(
            CURVES["flat"],
            script,
            limits=Limits(cells=cells, slots=8, batch=128, rows=64),
            draft=(script, 1.0) if with_draft else None,
            budget={"batch": 128, "rows": 64, "parallel": 6},
            plain=plain,
        )
        done = answered(timed, jobs)
        found.append({id: (update.tokens, update.scores, update.finished) for id, update in done.items()})
        timed.engine.cache.clear()
        assert timed.engine.cache.resident == 0
    assert found[0] == found[1]


def test_drafts_are_counted_in_the_timings() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timings = answered(timed, [job(1, [*source, 10], 300)])[1].timings
    assert timings is not None
    assert timings.draft_n >= timings.draft_n_accepted > 100
    assert timings.draft_saved_ms > 1000
    assert timings.draft_n == timed.engine.counters.drafted


@pytest.mark.parametrize("mode", ["off", "draft"])
def test_a_request_that_wants_no_copies_gets_none(mode: Speculation) -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timings = answered(timed, [job(1, [*source, 10], 300, mode)])[1].timings
    assert timings is not None and timings.draft_n == 0


def test_nothing_is_drafted_before_steps_were_timed() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timings = timed.run([job(1, [*source, 10], 300)])[1].timings
    assert timings is not None and timings.draft_n == 0
    assert timed.proposer.status().state == "waiting"


def test_cancelling_leaves_nothing_behind() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timed.calibrate()
    timed.engine.submit(job(1, [*source, 10], 300))
    for _ in range(40):
        timed.engine.step()
    timed.engine.cancel(1)
    assert not timed.proposer._watched and not timed.engine.busy
    assert timed.run([job(1, [*source, 10], 20)])[1].finished == "length"


# -- the draft model ------------------------------------------------------------------------------------------------


def mostly(script: Script, right: float) -> Script:
    def draft(history: Seq[int]) -> int:
        token = script(history)
        return token if random.Random(len(history)).random() < right else 32

    return draft


def drafted(curve: str, right: float, milliseconds: float) -> tuple[float, TimedEngine]:
    return speedup(curve, hashed, text(100), 600, draft=(mostly(hashed, right), milliseconds))


def test_a_good_draft_model_gains_where_rows_are_cheap() -> None:
    found, timed = drafted("flat", 0.9, 2.0)
    assert found > 2
    assert timed.proposer.status().acceptance["draft"] > 0.8


@pytest.mark.parametrize(
    ("curve", "right", "milliseconds"), [("flat", 0.05, 2.0), ("flat", 0.9, 25.0), ("linear", 0.9, 2.0)]
)
def test_a_draft_model_that_cannot_pay_costs_next_to_nothing(curve: str, right: float, milliseconds: float) -> None:
    found, _ = drafted(curve, right, milliseconds)
    assert found >= 1 / (1 + SHARE)


def test_a_draft_model_too_dear_for_the_machine_is_never_asked() -> None:
    found, timed = drafted("jagged", 1.0, 27.0)
    assert found >= 0.999
    assert "cannot pay" in timed.proposer.status().reason
    assert "draft" not in timed.proposer.status().acceptance


def test_a_draft_step_for_several_costs_what_it_was_seen_to_cost() -> None:
    speedups = []
    for four in (2.5, 20.0):
        timed = TimedEngine(CURVES["flat"], draft=(hashed, 2.0))
        timed.times.adopt(dict.fromkeys((1, 4, 16, 64), 20.0))
        drafting = timed.proposer._drafting
        assert drafting is not None
        drafting.adopt({1: 2.0, 4: four, 32: 32.0})
        speedups.append(drafting._best(4, 0.9))
    assert speedups[0] > 1.5 * speedups[1]


def test_what_a_draft_model_lacks_costs_as_a_step_of_its_own_at_least() -> None:
    timed = TimedEngine(CURVES["flat"], draft=(hashed, 2.0))
    drafting = timed.proposer._drafting
    assert drafting is not None
    drafting.adopt({1: 2.0, 8: 6.0, 64: 8.0})
    assert [drafting._catch_up(lag) for lag in (1, 8)] == [0.0, 4.0]
    assert drafting._catch_up(20) > 6.0
    assert drafting._catch_up(641) == pytest.approx(80.0)


def test_where_drafts_do_not_pay_the_draft_model_is_looked_at_rarely() -> None:
    looks = []
    timed = TimedEngine(CURVES["flat"], hashed, draft=(mostly(hashed, 0.05), 2.0))
    timed.calibrate()
    drafter = timed.proposer.drafter
    assert drafter is not None
    lag = drafter.lag

    def counted(id: int, tokens: Seq[int]) -> int | None:
        looks.append(id)
        return lag(id, tokens)

    drafter.lag = counted  # type: ignore[method-assign]
    timed.run([job(1, text(100), 320)])
    assert 0 < len(looks) <= 320 / 3


# -- what is learned ------------------------------------------------------------------------------------------------


def test_what_was_learned_is_kept_in_a_quiet_moment_and_at_the_end() -> None:
    source, kept = text(300), []
    timed = TimedEngine(jagged, copier(source))
    timed.proposer.remember(lambda name: None, lambda name, record: kept.append((name, sum(record.tries))))
    timed.calibrate()
    assert not kept
    timed.run([job(1, [*source, 10], 300)])
    timed.engine.tidy()
    timed.engine.tidy()
    assert [name for name, _ in kept] == ["copies"] and kept[0][1] > 50
    timed.engine.close()
    assert len(kept) == 1
    timed = TimedEngine(jagged, copier(source))
    timed.proposer.remember(lambda name: None, lambda name, record: kept.append((name, sum(record.tries))))
    timed.calibrate()
    timed.run([job(1, [*source, 10], 300)])
    timed.engine.close()
    assert len(kept) == 2


# -- the distribution -----------------------------------------------------------------------------------------------


def test_guessed_tokens_are_drawn_from_the_distribution_of_the_model() -> None:
    """The second token of many requests that all began alike, against the probabilities of its logits: chi-square."""
    params = SamplingParams(temperature=1.8, top_k=0, top_p=1.0, min_p=0.0)
    source = text(40)
    script = copier(source)
    prompt = [1, 2, 3, 10, *source, 1, 2, 3, 10]
    timed = TimedEngine(CURVES["flat"], script)
    timed.calibrate()
    done: dict[int, Update] = {}
    for seed in range(2400):
        done |= timed.run([job(seed, prompt, 3, params=params)])
    assert sum(update.timings.draft_n for update in done.values() if update.timings) > 500
    seconds = [update.tokens[1] for update in done.values() if update.tokens[0] == source[0]]
    logits = FakeRows([[*prompt, source[0]]], script, 260).logits(0).astype(np.float64) / params.temperature
    expected = np.exp(logits) / np.exp(logits).sum() * len(seconds)
    # Twelve groups of ids, and the likeliest by itself.
    groups = np.where(np.arange(260) == source[1], 12, np.arange(260) % 12)
    observed = np.bincount(groups[seconds], minlength=13)
    wanted = np.bincount(groups, weights=expected, minlength=13)
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    assert len(seconds) > 500
    assert statistic < 40, statistic  # the 99.99th percentile with 12 degrees of freedom is 39.1


def test_a_step_that_fails_is_booked_to_nobody() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timed.calibrate()
    timed.engine.submit(job(1, [*source, 10], 300))
    while not timed.engine.counters.drafted:
        timed.engine.step()
    spend, timed.backend._before_decode = timed.backend._before_decode, failing
    assert [type(update.error) for update in timed.engine.step()] == [BackendError]
    timed.backend._before_decode = spend
    timed.clock.now += 100
    timings = timed.run([job(2, [*source, 10], 100)])[2].timings
    assert timings is not None and timings.draft_saved_ms > 0


def test_a_request_that_fails_or_goes_before_its_text_was_read_leaves_nothing() -> None:
    source = text(300)
    timed = TimedEngine(jagged, copier(source))
    timed.calibrate()
    spend, timed.backend._before_decode = timed.backend._before_decode, failing
    timed.engine.submit(job(1, [*source, 10], 300))
    assert [type(update.error) for update in timed.engine.step()] == [BackendError]
    timed.backend._before_decode = spend
    timings = timed.run([job(1, [*source, 10], 300)])[1].timings
    assert timings is not None and timings.draft_n_accepted > 150


def failing(batch: Batch) -> None:
    raise BackendError("the library failed")
