"""Step times: measured points kept jagged, honest in between, and kept true by what follows."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edgellm.engine.speculative.costs import StepTimes


def times(**points: float) -> StepTimes:
    made = StepTimes()
    made.adopt({int(name[1:]): ms for name, ms in points.items()})
    return made


def test_nothing_is_known_before_a_plain_step_and_one_of_several_rows() -> None:
    assert not StepTimes().ready
    assert not times(n1=40).ready
    assert not times(n2=40, n4=50).ready
    assert times(n1=40, n16=300).ready


def test_measured_points_stay_jagged_and_lines_join_them() -> None:
    curve = times(n1=40, n8=300, n12=298, n16=300)
    assert [curve.at(rows) for rows in (1, 8, 12, 16)] == [40, 300, 298, 300]
    assert curve.at(10) == pytest.approx(299)
    assert curve.at(32) == pytest.approx(600)
    assert curve.points == [1, 8, 12, 16]


def test_a_point_far_above_one_of_more_rows_was_disturbed() -> None:
    assert times(n1=40, n2=900, n16=300).at(2) == pytest.approx(360)


def test_of_a_point_measured_twice_the_lesser_time_counts() -> None:
    """The second time something else ran for a while, and 24 and 64 rows would have looked better than they are."""
    curve = times(n1=41, n4=61, n12=147, n24=355, n64=812)
    curve.adopt({1: 52, 4: 109, 12: 234, 16: 250, 24: 286})
    assert curve.known() == {1: 41, 4: 61, 12: 147, 16: 250, 24: 286, 64: 812}


def test_plain_steps_move_the_whole_curve_and_others_their_own_point() -> None:
    curve = times(n1=40, n16=300)
    for _ in range(60):
        curve.observe(1, 45, plain=True)
    assert curve.at(1) == pytest.approx(45, rel=0.01)
    assert curve.at(16) == pytest.approx(300 * (1 + 1 / 8), rel=0.01)
    for _ in range(60):
        curve.observe(16, 380, plain=False)
    assert curve.at(16) == pytest.approx(380, rel=0.01)
    assert curve.at(1) == pytest.approx(45, rel=0.01)


def test_a_machine_that_speeds_up_does_so_for_all_sizes() -> None:
    curve = times(n1=40, n16=300)
    for _ in range(60):
        curve.observe(1, 20, plain=True)
    assert curve.at(1) == pytest.approx(20, rel=0.01)
    assert curve.at(16) == pytest.approx(150, rel=0.01)


def test_plain_steps_of_several_sequences_are_kept_by_themselves() -> None:
    curve = times(n1=40, n4=100, n16=300)
    for _ in range(60):
        curve.observe(4, 112.5, plain=True, sequences=4)
    assert curve.at(4, 4) == pytest.approx(112.5, rel=0.01)
    assert (curve.at(1), curve.at(4), curve.at(16)) == (40, 100, 300)
    # What contexts cost a row, every row of a larger step of the same sequences costs as well.
    assert curve.at(16, 4) == pytest.approx(350, rel=0.01)
    curve.adopt({1: 40, 4: 100, 16: 300})
    assert curve.at(4, 4) == 100


def test_steps_of_several_that_go_on_alike_may_be_faster_than_one_of_that_size_by_itself() -> None:
    curve = times(n1=2, n4=6, n16=8)
    for _ in range(60):
        curve.observe(4, 2.5, plain=True, sequences=4)
    assert curve.at(4, 4) == pytest.approx(2.5, rel=0.01)
    assert (curve.at(1), curve.at(4), curve.at(16, 4)) == (2, 6, 8)


def test_what_a_change_of_size_costs_is_learned_from_the_plain_steps_behind_it() -> None:
    curve = times(n1=2, n16=8)
    for _ in range(60):
        for rows, ms in (16, 8), (1, 4), (1, 3.5), (1, 2), (1, 2):
            curve.observe(rows, ms, plain=rows == 1)
    assert curve.change == pytest.approx(3.5, rel=0.01)
    assert (curve.at(1), curve.at(16)) == (2, 8)
    curve.observe(16, 8, plain=False)
    curve.observe(1, 400, plain=True)
    assert curve.change <= 3.8
    for _ in range(60):
        curve.interrupted()
        for _ in range(3):
            curve.observe(1, 2, plain=True)
    assert curve.change < 0.01 and curve.at(1) == 2


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0.01, 1e5), st.booleans()), max_size=80))
def test_whatever_is_observed_times_stay_above_nought(observed: list[tuple[int, float, bool]]) -> None:
    curve = times(n1=40, n4=100, n16=300)
    for rows, ms, plain in observed:
        for _ in range(2):
            curve.observe(rows, ms, plain=plain, sequences=rows if plain else 1)
        assert all(curve.at(each) > 0 and curve.at(each, each) > 0 for each in range(1, 65))
        assert curve.change >= 0


def test_the_first_step_of_another_size_is_left_out() -> None:
    curve = times(n1=40, n16=300)
    curve.observe(16, 200, plain=False)
    assert curve.at(16) == 300
    curve.observe(16, 200, plain=False)
    assert 200 < curve.at(16) < 300


def test_a_round_dearer_than_thought_makes_those_of_all_sizes_so() -> None:
    """Else a size not seen yet looks better than those that were, and is taken for it."""
    curve = times(n1=40, n4=100, n16=300)
    curve.observe(4, 150, plain=False)
    assert curve.known() == {1: 40, 4: 125, 16: 375}
    curve.observe(16, 450, plain=False)
    assert curve.known() == {1: 40, 4: 137.5, 16: 412.5}
    assert curve.at(16, 4) == 300
    curve.observe(4, 1e6, plain=False)
    assert curve.at(16) == pytest.approx(300 * (1.375 + 2) / 2)
    alike(curve, 1, *[40] * 60)
    assert curve.at(16) == pytest.approx(300, rel=0.01)
    curve.observe(4, 50, plain=False)
    assert curve.at(16) == pytest.approx(300, rel=0.01)


def test_rounds_of_several_tell_of_sizes_not_seen_yet_and_of_the_next_that_are_several() -> None:
    curve = times(n1=40, n4=100, n8=150, n16=300)
    alike(curve, 4, *[100] * 4)
    curve.observe(8, 225, plain=False, sequences=4)
    assert (curve.at(8, 4), curve.at(16, 4), curve.at(16)) == (187.5, 375, 300)
    alike(curve, 3, *[75] * 3)
    assert curve.at(16, 3) == 375


@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=30))
def test_no_single_step_moves_anything_by_more_than_a_thirteenth(observed: list[float]) -> None:
    curve = times(n1=40, n16=300)
    for ms in observed:
        before = curve.at(1)
        curve.observe(1, ms, plain=True)
        assert before * (1 - 0.0751) <= curve.at(1) <= before * (1 + 0.0751)


def test_sizes_seen_at_work_become_points() -> None:
    curve = times(n1=40, n16=300)
    for _ in range(40):
        curve.observe(5, 120, plain=False)
    assert 5 in curve.points
    assert curve.at(5) == pytest.approx(120, rel=0.02)
    assert curve.known().keys() == {1, 5, 16}


def test_where_sequences_are_computed_one_by_one_each_costs_as_much_as_alone() -> None:
    together, apart = times(n1=40, n2=44, n16=300), StepTimes(together=False)
    apart.adopt(together.known())
    assert together.at(4, 4) == together.at(4) == apart.at(4)
    assert apart.at(4, 4) == 4 * apart.at(1) == 160
    assert apart.at(8, 4) == 4 * apart.at(2) == 176
    assert 160 < apart.at(6, 4) < 176


def test_steps_of_several_tell_the_drift_of_one() -> None:
    curve = StepTimes(together=False)
    curve.adopt({1: 40, 2: 44})
    for _ in range(30):
        curve.observe(4, 200, plain=True, sequences=4)
    assert curve.at(1) == pytest.approx(50, rel=0.02)
    assert curve.points == [1, 2]


def test_plain_steps_tell_how_much_steps_scatter_but_not_those_behind_a_change() -> None:
    curve = times(n1=40, n16=300)
    for ms in (90, 80, *[40] * 3):
        curve.observe(1, ms, plain=True)
    assert curve.scatter() == 0 and curve.settled
    curve.observe(16, 300, plain=False)
    curve.observe(1, 60, plain=True)
    assert curve.scatter() == 0 and not curve.settled
    for ms in [38, 42] * 60:
        curve.observe(1, ms, plain=True)
    assert curve.scatter() == pytest.approx(0.05, abs=0.01)
    for ms in [400, 40, 40, 40, 40] * 20:
        curve.observe(1, ms, plain=True)
    assert curve.scatter() < 0.2, "a step that was held up tells little of the others"


def alike(curve: StepTimes, sequences: int, *milliseconds: float) -> None:
    """Plain steps of so many, one after the other."""
    for ms in milliseconds:
        curve.observe(sequences, ms, plain=True, sequences=sequences)


def test_what_several_take_is_known_when_two_of_their_steps_were_seen_undisturbed() -> None:
    curve = times(n1=40, n4=100, n16=300)
    assert curve.knows(1) and not curve.knows(4)
    alike(curve, 4, 500, 500)
    assert not curve.knows(4), "those were behind a change"
    alike(curve, 4, 900)
    assert not curve.knows(4)
    alike(curve, 4, 160)
    assert curve.knows(4) and not curve.knows(3) and not curve.knows(1)
    assert curve.at(4, 4) == 160, "whatever disturbs a step makes it longer"
    assert curve.at(16, 4) == 540
    assert curve.scatter(4) == 0
    # One leaves and another comes: what was known may hold no longer.
    alike(curve, 3, 120)
    assert not curve.knows(3) and not curve.knows(4)
    alike(curve, 4, *[90] * 4)
    assert curve.at(4, 4) == 90


def test_one_that_is_left_is_known_when_its_step_was_seen() -> None:
    curve = times(n1=40, n16=300)
    alike(curve, 2, *[90] * 4)
    assert not curve.knows(1)
    alike(curve, 1, 400, 40)
    assert not curve.knows(1) and curve.change == 0, "what is tidied up behind others is no change of size"
    alike(curve, 1, 40)
    assert curve.knows(1) and curve.at(1) == 40


def test_a_change_of_size_among_several_is_learned_behind_a_round_of_the_same() -> None:
    curve = times(n1=2, n2=3, n16=8)
    alike(curve, 2, *[3] * 4)
    curve.interrupted()
    alike(curve, 2, 30, 30, 3)
    assert curve.change == 0, "another came in the place of one that left"
    curve.observe(16, 8, plain=False, sequences=2)
    alike(curve, 2, 4)
    assert curve.change == pytest.approx(0.3)


def test_rounds_of_several_leave_the_curve_of_one_alone() -> None:
    curve = times(n1=40, n4=100, n16=300)
    alike(curve, 4, *[120] * 20)
    for _ in range(40):
        curve.observe(16, 300, plain=False, sequences=4)
    assert curve.at(16, 4) == pytest.approx(300, rel=0.01)
    assert curve.at(16, 5) == 300
    assert curve.known() == {1: 40, 4: 100, 16: 300}
    for _ in range(40):
        curve.observe(16, 350, plain=False)
    assert curve.at(16) == pytest.approx(350, rel=0.01)


def test_what_rounds_of_several_took_holds_while_there_are_as_many() -> None:
    """It was learned beside plain steps that a slow moment made dear, and would make rounds seem free later."""
    curve = times(n1=40, n4=60, n8=80)
    alike(curve, 4, *[160] * 4)
    for _ in range(40):
        curve.observe(8, 170, plain=False, sequences=4)
    assert curve.at(8, 4) == pytest.approx(170, rel=0.01)
    alike(curve, 3, *[55] * 4)
    alike(curve, 4, *[64] * 4)
    assert curve.at(8, 4) == 88


@given(st.lists(st.tuples(st.integers(2, 64), st.floats(0.01, 1e4)), min_size=1, max_size=80), st.integers(2, 16))
def test_no_round_of_several_is_thought_cheaper_than_a_plain_step(
    observed: list[tuple[int, float]], sequences: int
) -> None:
    curve = times(n1=40, n4=60, n16=300)
    alike(curve, sequences, *[200] * 4)
    for rows, ms in observed:
        curve.observe(sequences + rows, ms, plain=False, sequences=sequences)
        assert curve.at(sequences + rows, sequences) >= 200


def test_steps_of_several_scatter_by_themselves() -> None:
    curve = times(n1=40, n4=100, n16=300)
    alike(curve, 4, *[110, 90] * 60)
    assert curve.scatter(4) == curve.scatter(16) == pytest.approx(0.1, abs=0.03)
    assert curve.scatter() == 0


def test_another_calibration_forgets_what_several_take() -> None:
    curve = times(n1=40, n4=100, n16=300)
    alike(curve, 4, *[160] * 4)
    curve.adopt({1: 40, 4: 100, 16: 300})
    assert curve.knows(1) and not curve.knows(4)


def test_a_single_round_of_several_tells_what_the_next_will_take() -> None:
    curve = times(n1=40, n4=80, n6=80)
    alike(curve, 4, *[90] * 4)
    assert curve.at(6, 4) == 95
    curve.observe(6, 133, plain=False, sequences=4)
    assert curve.at(6, 4) == pytest.approx(95 * 1.2)
    alike(curve, 4, 90, 90, 90)
    curve.observe(6, 133, plain=False, sequences=4)
    assert curve.at(6, 4) > 120
    assert curve.at(4, 4) == 90
