"""The controller against curves and chances: the best size, none where nothing pays, and nobody pays for others."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings, strategies as st

from edgellm.engine.speculative.controller import Candidate, Controller
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.loss_account import SHARE, LossAccount
from tests.doubles.timed_engine import CURVES, jagged

POINTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
LONG = 1e6


def measured(name: str) -> StepTimes:
    times = StepTimes()
    times.adopt({rows: CURVES[name](rows) for rows in POINTS})
    return times


def controller(name: str) -> Controller:
    return Controller(measured(name))


def candidate(alpha: float, length: int = 63, id: int = 1, whole: float = LONG) -> Candidate:
    return Candidate.of(id, LossAccount(0.0), whole, [alpha] * length)


def drafted(name: str, *candidates: Candidate, rows: int = 63) -> dict[int, int]:
    return dict(controller(name).decide(candidates, rows).lengths)


def test_the_boundary_of_a_kernel_is_the_best_size() -> None:
    assert drafted("jagged", candidate(0.93)) == {1: 15}
    assert drafted("jagged", candidate(1.0)) == {1: 63}
    assert drafted("step", candidate(0.8)) == {1: 7}


def test_nothing_is_drafted_where_nothing_pays() -> None:
    assert drafted("jagged", candidate(0.6)) == {}
    assert drafted("linear", candidate(0.99)) == {}
    assert drafted("flat", candidate(0.02)) == {}
    assert controller("jagged").decide([candidate(0.6)], 63).reason == "not worth it here"


def test_where_rows_are_free_even_doubtful_guesses_are_tried() -> None:
    assert drafted("flat", candidate(0.3))[1] >= 7


def test_beginning_takes_more_than_going_on() -> None:
    made = controller("jagged")
    weak = [0.79] * 63
    assert 1.0 < made.speedup(1, 1, 0.79) < 1.05
    assert not made.decide([Candidate.of(1, LossAccount(0.0), LONG, weak)], 63).drafted
    assert made.decide([candidate(0.97)], 63).drafted
    assert made.decide([Candidate.of(1, LossAccount(0.0), LONG, weak)], 63).drafted
    made.forget(1)
    assert not made.decide([Candidate.of(1, LossAccount(0.0), LONG, weak)], 63).drafted


def test_a_short_request_stakes_less() -> None:
    assert drafted("jagged", candidate(0.9, whole=3_000)) == {}
    assert drafted("jagged", candidate(0.95, whole=12_000)) == {1: 3}
    assert drafted("jagged", candidate(0.95, whole=40_000)) == {1: 15}


def test_what_drafts_cost_counts_before_they_are_verified() -> None:
    """One more row costs 32 ms, for which 0.75 % of 12,000 ms leave room, but not beside 80 ms of drafting."""
    made = controller("jagged")
    assert made.decide([candidate(0.97, 1, whole=12_000)], 63, spent=50.0).lengths == {1: 1}
    assert made.decide([candidate(0.97, 1, whole=12_000)], 63, spent=80.0).lengths == {}


def test_no_more_is_guessed_than_could_be_borne_and_pay() -> None:
    made = controller("jagged")
    assert [made.most(candidate(0.9, whole=whole), 1) for whole in (3_600, 3_900, 31_000, LONG)] == [0, 1, 15, 63]
    assert made.most(candidate(0.9, whole=LONG), 64) == 0
    # Each row costs a step, so that nothing pays even if all comes true.
    assert controller("linear").most(candidate(0.9), 1) in (0, 63)
    dear = StepTimes()
    dear.adopt({1: 2, 4: 9, 16: 20})
    assert Controller(dear).most(candidate(0.9), 1) == 15
    assert Controller(dear).most(candidate(0.9, whole=1_000), 1) == 0


def test_what_could_be_borne_follows_the_step_times() -> None:
    times = StepTimes()
    times.adopt({1: 40, 16: 80})
    made = Controller(times)
    assert made.most(candidate(0.9, whole=3_000), 1) == 0
    times.adopt({1: 40, 16: 60})
    assert made.most(candidate(0.9, whole=3_000), 1) == 15
    for _ in range(60):
        times.observe(1, 80, plain=True)
    made.refresh()
    assert made.most(candidate(0.9, whole=3_000), 1) == 0


def test_steps_that_take_longer_behind_a_round_count_as_its_own() -> None:
    times = StepTimes()
    times.adopt({1: 2, 16: 8})
    made = Controller(times)
    assert made.speedup(1, 15, 15) == pytest.approx(16 * 2 / 8)
    assert made.decide([candidate(0.99, 15, whole=1_000)], 15).drafted == 15
    for _ in range(60):
        times.interrupted()
        for ms in (4, 4, 2):
            times.observe(1, ms, plain=True)
    assert made.speedup(1, 15, 15) == pytest.approx(16 * 2 / 12, rel=0.01)
    decided = made.decide([candidate(0.99, 15, whole=1_000)], 15)
    assert (decided.drafted, decided.reason) == (0, "enough was lost in this request")


def test_gains_are_staked_again() -> None:
    account = LossAccount(0.0)
    account.book(-900, 1000)
    assert drafted("jagged", Candidate.of(1, account, 5_000, [1.0] * 63)) == {1: 63}


def test_rows_go_to_the_likeliest_over_all_sequences() -> None:
    lengths = drafted("flat", candidate(0.9, id=1), candidate(0.5, id=2), rows=14)
    assert lengths[1] > lengths[2] > 0
    assert sum(lengths.values()) == 14
    assert lengths[1] >= 10


def test_free_rows_up_to_the_boundary_are_filled() -> None:
    """Eight sequences cost what sixteen rows do, so eight guesses are free."""
    several = [candidate(0.6, id=id) for id in range(8)]
    lengths = drafted("jagged", *several)
    assert sum(lengths.values()) == 8 and set(lengths.values()) == {1}


def test_of_rounds_about_as_good_the_one_that_loses_least_is_taken() -> None:
    times = StepTimes()
    times.adopt({1: 50, 4: 76, 16: 250, 64: 960})
    gain = {size: Controller(times).speedup(1, size, size) for size in (3, 15, 63)}
    assert gain[63] > gain[15] > gain[3] > 0.75 * gain[63]
    assert Controller(times).decide([candidate(0.97)], 63).lengths == {1: 3}
    times.adopt({1: 50, 4: 76, 16: 76, 64: 960})
    assert Controller(times).decide([candidate(0.97)], 63).lengths == {1: 15}, "rows that cost nothing are taken"


def test_more_sequences_than_rows_were_ever_timed_draft_nothing() -> None:
    times = StepTimes()
    times.adopt({1: 50, 2: 52})
    decided = Controller(times).decide([candidate(0.9, 3, id=1), candidate(0.9, 3, id=2)], 8, spent=5.0)
    assert (decided.drafted, decided.speedup) == (0, 1.0)
    assert decided.round_ms == pytest.approx(decided.plain_ms + 5.0)


def test_the_more_steps_scatter_the_less_is_staked() -> None:
    times = StepTimes()
    times.adopt({1: 50, 2: 70})
    asked = candidate(0.97, 1, whole=2_500)
    assert Controller(times).decide([asked], 1).drafted == 1
    times.observe(1, 50, plain=True)
    times.observe(1, 50, plain=True)
    for ms in [45, 55] * 40:
        times.observe(1, ms, plain=True)
    assert times.scatter() == pytest.approx(0.1, abs=0.03)
    assert Controller(times).decide([asked], 1).reason == "enough was lost in this request"


def test_nobody_is_slowed_down_for_another() -> None:
    still = Candidate(2, LossAccount(0.0), 2_000.0)
    assert drafted("jagged", candidate(0.99, id=1)) != {}
    assert drafted("jagged", candidate(0.99, id=1), still) == {}


def test_who_lost_by_the_others_drafts_comes_first_with_its_own() -> None:
    """By two rows more a step of two takes 8 ms longer, by thirty 58: one cannot bear that, until it has gained."""
    times = StepTimes()
    times.adopt({1: 21, 2: 29, 4: 37, 8: 45, 16: 53, 32: 87})
    made = Controller(times)
    rich, poor = candidate(0.98, id=1), candidate(0.95, id=2, whole=10_500)
    assert made.decide([rich, candidate(0.95, id=2)], 30).drafted == 30
    poor.account.book(80.0, 0.0)
    assert made.decide([rich, poor], 30).lengths == {2: 2}
    poor.account.book(20.0, 0.0)
    assert made.decide([rich, poor], 30).lengths == {}


@given(
    st.sampled_from(sorted(CURVES)),
    st.lists(st.tuples(st.floats(0.01, 0.999), st.integers(0, 63), st.floats(0, 1e6)), min_size=1, max_size=16),
    st.integers(0, 63),
)
@example("jagged", [(0.5, 0, 0.0)] * 7 + [(0.99, 1, 1e6)], 1)
@settings(deadline=None)
def test_every_decision_keeps_to_rows_accounts_and_gain(
    name: str, asked: list[tuple[float, int, float]], rows: int
) -> None:
    several = [candidate(alpha, length, id, whole) for id, (alpha, length, whole) in enumerate(asked)]
    made = controller(name)
    decision = made.decide(several, min(rows, 64 - len(several)))
    assert decision.drafted <= rows
    if not decision.drafted:
        assert decision.speedup == 1.0
        return
    assert decision.speedup >= 1.0
    # Between measured points a curve may be dearer, which nobody can know.
    times, count = measured(name), len(several)
    extra = times.at(count + decision.drafted, count) - times.at(count, count)
    for each in several:
        length = decision.lengths.get(each.id, 0)
        assert length <= len(each.survival)
        assert each.account.balance + extra <= SHARE * each.whole + 0.5


def test_the_curve_is_the_measured_one() -> None:
    assert (jagged(8), jagged(16), jagged(64)) == (298, 300, 888)
