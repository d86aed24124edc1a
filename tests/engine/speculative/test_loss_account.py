"""The loss account: whatever happens, no more is lost than its share."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.engine.speculative.loss_account import SHARE, LossAccount, SlowMoments


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(-2000, 500), st.floats(0, 100)), max_size=200), st.floats(0, 1000)
)
def test_no_more_than_the_share_is_ever_lost(rounds: list[tuple[float, float, float]], ceiling: float) -> None:
    account, whole = LossAccount(0.0), 0.0
    for worst, outcome, time in rounds:
        whole += time
        if worst <= account.left(whole):
            account.book(min(outcome, worst), ceiling)
        assert account.balance <= SHARE * whole + 1e-6
        assert -ceiling <= account.balance <= account.worst


def test_savings_beyond_the_ceiling_do_not_pay_for_later_losses() -> None:
    account = LossAccount(0.0)
    for _ in range(100):
        account.book(-50, 80)
    assert account.balance == -80 and account.saved == 5000
    assert account.left(0) == 80


def test_a_little_of_the_share_is_left_for_decodes_that_take_longer_than_expected() -> None:
    assert 7 < LossAccount(0.0).left(1000) < 10


def test_after_its_share_is_lost_a_request_risks_nothing_until_it_has_gone_on() -> None:
    account = LossAccount(0.0)
    account.book(12, 100)
    assert account.left(1200) < 0 < account.left(1700)


def test_a_slow_moment_is_the_machines_and_a_second_one_is_believed() -> None:
    moments = SlowMoments()
    assert moments.factor(4, 120, 100) == 1.0
    assert moments.factor(4, 300, 100) == 3.0
    assert moments.factor(4, 300, 100) == 1.0
    assert moments.factor(8, 400, 200) == 2.0, "each number of rows has a cost of its own"
    assert moments.factor(4, 300, 100) == 1.0
    assert moments.factor(4, 100, 100) == 1.0
    assert moments.factor(4, 200, 100) == 2.0


def test_while_plain_steps_are_slow_rounds_may_be_as_slow() -> None:
    moments = SlowMoments()
    for _ in range(3):
        moments.plain(200, 50)
        assert moments.factor(4, 300, 100) == 3.0
        assert moments.factor(4, 800, 100) == 4.0
    moments.plain(50, 50)
    assert moments.factor(4, 300, 100) == 3.0
    assert moments.factor(4, 300, 100) == 1.0


def test_what_plain_steps_took_long_ago_tells_nothing() -> None:
    moments = SlowMoments()
    moments.plain(200, 50)
    assert [moments.factor(4, 300, 100) for _ in range(7)] == [3.0] * 5 + [1.0] * 2
