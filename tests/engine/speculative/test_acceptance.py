"""Acceptance: cautious without counts, true with many, and each request's own in the end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from edgellm.engine.speculative.acceptance import Acceptance, Record


def test_without_counts_a_kind_starts_from_its_prior() -> None:
    acceptance = Acceptance((3, 2), priors=(0.2, 0.3, 0.4, 0.7, 0.8))
    own = acceptance.own()
    assert [acceptance.estimate(kind, own)[0] for kind in range(5)] == pytest.approx([0.2, 0.3, 0.4, 0.7, 0.8])
    assert all(acceptance.chance(kind, own) < acceptance.estimate(kind, own)[0] for kind in range(5))
    assert acceptance.mean() is None


def test_surer_kinds_inherit_what_is_known_of_the_more_doubtful() -> None:
    acceptance, own = Acceptance((3,)), Record.empty(3)
    for _ in range(100):
        acceptance.observe(0, True, acceptance.own())
    assert acceptance.chance(2, own) == pytest.approx(acceptance.chance(0, own))
    assert acceptance.estimate(0, own)[0] > 0.9


@given(st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_many_counts_find_the_rate(rate: float, seed: int) -> None:
    chance, acceptance = random.Random(seed), Acceptance((2,))
    for _ in range(1500):
        acceptance.observe(0, chance.random() < rate, acceptance.own())
    # Two hundred or so weigh: four standard errors.
    assert acceptance.estimate(0, acceptance.own())[0] == pytest.approx(
        rate, abs=4 * (rate * (1 - rate) / 200) ** 0.5 + 0.05
    )


def test_a_request_that_differs_is_believed_before_all_others() -> None:
    acceptance = Acceptance((1,))
    for _ in range(300):
        acceptance.observe(0, True, acceptance.own())
    own = acceptance.own()
    for _ in range(30):
        acceptance.observe(0, False, own)
    assert acceptance.chance(0, own) < 0.25 < 0.75 < acceptance.estimate(0, acceptance.own())[0]


def test_counts_make_a_chance_surer() -> None:
    acceptance, own = Acceptance((1,), first=0.9), Record.empty(1)
    doubtful = acceptance.chance(0, own)
    for _ in range(9):
        for hit in (True,) * 9 + (False,):
            acceptance.observe(0, hit, own)
    assert doubtful < acceptance.chance(0, own) < 0.9


def test_what_another_version_learned_is_not_taken_over() -> None:
    acceptance = Acceptance((2,))
    acceptance.adopt(Record([1.0], [2.0]))
    acceptance.adopt(Record([3.0, 0.0], [2.0, 0.0]))
    acceptance.adopt(Record([3.0, 0.0], [1e9, 0.0]))
    assert acceptance.mean() is None
    acceptance.adopt(Record([90.0, 0.0], [100.0, 0.0]))
    assert acceptance.mean() == pytest.approx(0.9)
