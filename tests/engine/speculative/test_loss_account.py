"""The loss account: whatever happens, no more is lost than its share and one round."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.engine.speculative.loss_account import SHARE, STAKE, LossAccount


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1), st.floats(-2000, 500), st.floats(0, 100)), max_size=200),
    st.floats(0, 1000),
)
def test_no_more_than_the_share_and_the_stake_is_ever_lost(
    rounds: list[tuple[float, float, float, float]], ceiling: float
) -> None:
    account, whole = LossAccount(0.0), 0.0
    for worst, part, outcome, time in rounds:
        whole += time
        loss = min(outcome, worst)
        if account.allows(worst, worst * part, whole):
            account.book(loss, ceiling)
        assert account.balance <= (SHARE + STAKE) * whole + 1e-6
        assert -ceiling <= account.balance <= account.worst


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(-2000, 500), st.floats(0, 100)), max_size=200))
def test_where_nothing_is_sure_no_more_than_the_share_is_ever_lost(rounds: list[tuple[float, float, float]]) -> None:
    account, whole = LossAccount(0.0), 0.0
    for worst, outcome, time in rounds:
        whole += time
        if account.allows(worst, worst, whole):
            account.book(min(outcome, worst), 1000)
        assert account.balance <= SHARE * whole + 1e-6


def test_savings_beyond_the_ceiling_do_not_pay_for_later_losses() -> None:
    account = LossAccount(0.0)
    for _ in range(100):
        account.book(-50, 80)
    assert account.balance == -80 and account.saved == 5000
    assert account.allows(80, 80, 0) and not account.allows(81, 0, 0)


def test_what_is_not_sure_may_not_cost_more_than_is_planned() -> None:
    account = LossAccount(0.0)
    assert account.allows(9, 9, 1000) and not account.allows(10, 10, 1000)
    assert account.allows(13, 9, 1000) and not account.allows(14, 9, 1000)
    assert account.could_begin(9, 1000) and not account.could_begin(10, 1000)


def test_after_its_share_is_lost_a_request_stakes_nothing_until_it_has_gone_on() -> None:
    account = LossAccount(0.0)
    account.book(12, 100)
    assert not account.allows(1, -5, 1000)
    assert account.allows(1, -5, 1300)
