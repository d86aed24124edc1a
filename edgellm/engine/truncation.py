"""Which tokens may still be drawn after top-k, typical, top-p and min-p, with llama.cpp's rules in llama.cpp's order.

Differences to llama.cpp: ties are broken by the lowest id (there they fall as its sort leaves them), and tokens whose
probability underflows count for nothing in typical's entropy (there they make it NaN).
"""

from __future__ import annotations

import math

import numpy as np

from edgellm.backends.batch import Logits
from edgellm.engine.ranking import HEADS, Ids, best, canonical, leading, mass, reaching, weights
from edgellm.request import SamplingParams

# exp of anything below is 0 in float32; stands in for -inf, whose product with 0 would be NaN.
_UNDERFLOW = np.float32(-200.0)


def survivors(values: Logits, params: SamplingParams) -> Ids | None:
    """Ids of the tokens that truncation leaves, in canonical order, never a -inf one; None if nothing truncates.

    `values` is a row of logits without NaN and with a finite maximum.
    """
    if 0 < params.top_k < values.size:
        ids = best(values, params.top_k)
        if params.typical_p < 1.0:
            ids = ids[typical(values[ids], params.typical_p)]
        return _min_p(values, _top_p(values, ids, params.top_p), params.min_p)
    if params.typical_p < 1.0:
        ids = canonical(values, typical(values, params.typical_p))
        return _min_p(values, _top_p(values, ids, params.top_p), params.min_p)
    if params.min_p > 0.0:
        # Top-p comes first, but both keep a head of one order, so the cheaper one may cut before the other.
        ids = canonical(values, np.flatnonzero(values >= _least(values.max(), params.min_p)))
        return _top_p(values, ids, params.top_p, over_row=True)
    return leading(values, params.top_p) if params.top_p < 1.0 else None


def typical(values: Logits, p: float) -> Ids:
    """Positions, rising, of the values whose surprise is nearest the mean surprise and which hold more than `p`."""
    relative = np.maximum(values - values.max(), _UNDERFLOW)
    shares = np.exp(relative)
    total = float(shares.sum(dtype=np.float64))
    # entropy - surprise = (log total - mean) - (log total - relative)
    nearness = -np.abs(relative - np.float32(np.vdot(shares, relative) / total))
    nearness[relative == _UNDERFLOW] = -np.inf
    for count in (*HEADS, values.size):
        positions = best(nearness, count)
        summed = shares[positions].cumsum(dtype=np.float64)
        if summed[-1] > p * total:
            break
    return np.sort(positions[: int(summed.searchsorted(p * total, side="right")) + 1])


def _top_p(values: Logits, ids: Ids, p: float, over_row: bool = False) -> Ids:
    """The shortest head of `ids` that holds `p` of their probability, or of the whole row's."""
    if p >= 1.0:
        return ids
    summed = weights(values[ids]).cumsum()
    total = mass(values) if over_row else float(summed[-1])
    return ids[: reaching(summed, p * total)]


def _min_p(values: Logits, ids: Ids, p: float) -> Ids:
    """Those of `ids` that are at least `p` times as probable as the first."""
    if p <= 0.0:
        return ids
    return ids[values[ids] >= _least(values[ids[0]], p)]


def _least(top: np.float32, p: float) -> np.float32:
    return np.float32(top + np.float32(math.log(p)))
