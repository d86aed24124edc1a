"""Truncation against a reference written the slow and obvious way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from edgellm.backends.batch import Logits
from edgellm.engine.truncation import survivors
from edgellm.request import SamplingParams

OFF = SamplingParams(top_k=0, top_p=1.0, min_p=0.0)


class Reference:
    """llama.cpp's stages over lists; `margin` is how close any comparison came to going the other way."""

    def __init__(self, values: Logits) -> None:
        self.values = [float(v) for v in values]
        self.margin = math.inf

    def run(self, params: SamplingParams) -> list[int]:
        ids = sorted((i for i, v in enumerate(self.values) if v > -math.inf), key=lambda i: (-self.values[i], i))
        if params.top_k:
            ids = ids[: params.top_k]
        if params.typical_p < 1.0:
            ids = self.typical(ids, params.typical_p)
        if params.top_p < 1.0:
            ids = self.reach(ids, self.shares(ids), params.top_p)
        if params.min_p > 0.0:
            ids = self.min_p(ids, params.min_p)
        return ids

    def shares(self, ids: list[int]) -> dict[int, float]:
        top = max(self.values[i] for i in ids)
        relative = {i: math.exp(self.values[i] - top) for i in ids}
        total = math.fsum(relative.values())
        return {i: share / total for i, share in relative.items()}

    def typical(self, ids: list[int], p: float) -> list[int]:
        shares = self.shares(ids)
        surprise = {i: -math.log(share) if share > 0.0 else math.inf for i, share in shares.items()}
        entropy = math.fsum(share * surprise[i] for i, share in shares.items() if share > 0.0)
        away = {i: abs(surprise[i] - entropy) for i in ids}
        nearest = sorted(ids, key=lambda i: (away[i], i))
        kept = self.reach(nearest, shares, p)
        if len(kept) < len(nearest):
            last, dropped = kept[-1], nearest[len(kept)]
            if self.values[last] != self.values[dropped]:
                self.margin = min(self.margin, away[dropped] - away[last])
        return [i for i in ids if i in set(kept)]

    def reach(self, ids: list[int], shares: dict[int, float], p: float) -> list[int]:
        summed = 0.0
        for n, i in enumerate(ids):
            summed += shares[i]
            self.margin = min(self.margin, abs(summed - p))
            if summed >= p:
                return ids[: n + 1]
        return ids

    def min_p(self, ids: list[int], p: float) -> list[int]:
        least = self.values[ids[0]] + math.log(p)
        self.margin = min([self.margin, *(abs(self.values[i] - least) for i in ids)])
        return [i for i in ids if self.values[i] >= least]


rows = st.builds(
    lambda size, seed, spread: np.random.default_rng(seed).normal(0.0, spread, size).astype(np.float32),
    st.sampled_from((1, 2, 9, 60, 400, 3_000)),
    st.integers(0, 2**32),
    st.sampled_from((0.5, 2.0, 6.0)),
)
fractions = st.floats(0.02, 0.98)


def agrees(values: Logits, params: SamplingParams) -> None:
    before = values.copy()
    reference = Reference(values)
    expected = reference.run(params)
    assume(reference.margin > 5e-5)
    ids = survivors(values, params)
    assert ids is not None
    assert ids.tolist() == expected
    assert np.array_equal(values, before)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(1, 3_000))
def test_top_k(values: Logits, k: int) -> None:
    assume(k < values.size)
    agrees(values, SamplingParams(top_k=k, top_p=1.0, min_p=0.0))


@settings(max_examples=40, deadline=None)
@given(rows, fractions)
def test_top_p(values: Logits, p: float) -> None:
    agrees(values, SamplingParams(top_k=0, top_p=p, min_p=0.0))


@settings(max_examples=40, deadline=None)
@given(rows, fractions)
def test_min_p(values: Logits, p: float) -> None:
    agrees(values, SamplingParams(top_k=0, top_p=1.0, min_p=p))


@settings(max_examples=60, deadline=None)
@given(rows, fractions)
def test_typical(values: Logits, p: float) -> None:
    agrees(values, SamplingParams(top_k=0, top_p=1.0, min_p=0.0, typical_p=p))


@settings(max_examples=100, deadline=None)
@given(
    rows,
    st.sampled_from((0, 1, 5, 40, 1_500)),
    st.just(1.0) | fractions,
    st.just(1.0) | fractions,
    st.just(0.0) | st.floats(0.005, 0.5),
)
def test_all_together(values: Logits, k: int, typical_p: float, top_p: float, min_p: float) -> None:
    params = SamplingParams(top_k=k, typical_p=typical_p, top_p=top_p, min_p=min_p)
    assume(0 < k < values.size or typical_p < 1.0 or top_p < 1.0 or min_p > 0.0)
    agrees(values, params)


@settings(max_examples=60, deadline=None)
@given(rows, fractions, st.sampled_from((0, 40)), st.sampled_from((1.0, 0.7)))
def test_what_is_banned_never_survives(values: Logits, share: float, k: int, typical_p: float) -> None:
    banned = np.random.default_rng(0).random(values.size) < share
    assume(not banned.all())
    values[banned] = -np.inf
    agrees(values, SamplingParams(top_k=k, typical_p=typical_p, top_p=0.9, min_p=0.01))


def test_nothing_set_means_no_truncation() -> None:
    assert survivors(np.zeros(10, np.float32), OFF) is None
    assert survivors(np.zeros(10, np.float32), SamplingParams(top_k=10, top_p=1.0, min_p=0.0)) is None


@pytest.mark.parametrize("k", [1, 3])
def test_equal_logits_survive_by_id(k: int) -> None:
    ids = survivors(np.zeros(3_000, np.float32), SamplingParams(top_k=k))
    assert ids is not None
    assert ids.tolist() == list(range(k))


def test_typical_drops_a_token_that_says_too_little() -> None:
    """One token at 40%, sixty at 1%: the mean surprise is nearer to that of the sixty."""
    values = np.log(np.array([0.4] + [0.01] * 60)).astype(np.float32)
    ids = survivors(values, SamplingParams(top_k=0, top_p=1.0, min_p=0.0, typical_p=0.505))
    assert ids is not None
    assert 0 not in ids.tolist()
    assert ids.tolist() == list(range(1, 52))


def test_typical_of_a_certain_token_keeps_it() -> None:
    values = np.full(100, -500.0, np.float32)
    values[42] = 0.0
    ids = survivors(values, SamplingParams(top_k=0, typical_p=0.9))
    assert ids is not None
    assert ids.tolist() == [42]
