"""The canonical order of logits, against plain Python sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.batch import Logits
from edgellm.engine.ranking import best, canonical, leading, mass, weights

# Past the sizes where `best` changes its way: all of it, a partition, maxima of groups.
SIZES = (1, 7, 300, 2_047, 5_000, 20_011)


def row(size: int, seed: int, grain: float = 0.0) -> Logits:
    """Random logits; with a `grain` they are multiples of it, so that many tie (-0.0 with 0.0 among them)."""
    values = np.random.default_rng(seed).normal(0.0, 4.0, size)
    return (np.round(values / grain) * grain if grain else values).astype(np.float32)


def in_order(values: Logits) -> list[int]:
    return sorted((i for i in range(values.size) if values[i] > -np.inf), key=lambda i: (-float(values[i]), i))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 2**32), st.sampled_from((0.0, 0.5, 4.0)), st.integers(1, 6_000))
def test_best_is_the_head_of_the_sorted_row(size: int, seed: int, grain: float, count: int) -> None:
    values = row(size, seed, grain)
    assert best(values, count).tolist() == in_order(values)[:count]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 2**32), st.integers(1, 300), st.floats(0.0, 0.999))
def test_best_never_has_what_is_banned(size: int, seed: int, count: int, share: float) -> None:
    values = row(size, seed)
    values[np.random.default_rng(seed).random(size) < share] = -np.inf
    assert best(values, count).tolist() == in_order(values)[:count]


def test_best_of_a_row_of_equals_is_by_id() -> None:
    assert best(np.zeros(10_000, np.float32), 5).tolist() == [0, 1, 2, 3, 4]


def test_negative_zero_ties_with_zero() -> None:
    values = np.array([-0.0, 0.0, -0.0, 1e-45, -1e-45], np.float32)
    assert canonical(values, np.arange(5)).tolist() == [3, 0, 1, 2, 4]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50))
def test_canonical_sorts_any_floats(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    expected = sorted(range(len(numbers)), key=lambda i: (-float(values[i]), i))
    assert canonical(values, np.arange(len(numbers))).tolist() == expected


@pytest.mark.parametrize("temperature", [0.01, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("size", [3, 5_000, 70_000])
def test_mass_sums_relative_probabilities(size: int, temperature: float) -> None:
    values = row(size, 3)
    exact = np.exp((values.astype(np.float64) - values.max()) / temperature).sum()
    assert mass(values, temperature) == pytest.approx(exact, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 2**32), st.floats(0.0, 1.0), st.sampled_from((0.3, 1.0, 2.5)))
def test_leading_is_the_shortest_sufficient_head(size: int, seed: int, fraction: float, temperature: float) -> None:
    values = row(size, seed)
    ids = leading(values, fraction, temperature)
    assert ids.tolist() == in_order(values)[: len(ids)]
    summed = weights(values[np.array(in_order(values))], temperature).cumsum()
    summed /= summed[-1]
    assert summed[len(ids) - 1] >= fraction - 1e-5
    assert len(ids) == 1 or summed[len(ids) - 2] <= fraction + 1e-5
