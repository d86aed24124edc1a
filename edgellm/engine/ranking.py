"""Puts logits in the canonical order (best first, ties by lowest id) without sorting a whole vocabulary for a few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgellm.backends.batch import Logits

Ids = NDArray[np.intp]

# Heads of the order tried before the whole of it: most draws and nuclei end within the first.
HEADS = (256, 4_096, 32_768)
_MIN_GROUPS = 1024
_BLOCK = 32_768


def best(values: Logits, count: int) -> Ids:
    """Indices of the `count` largest values in canonical order; fewer where the rest is -inf. `values` has no NaN."""
    floor = _floor(values, count)
    kept = values >= floor if floor > -np.inf else values > floor
    return canonical(values, np.flatnonzero(kept))[:count]


def canonical(values: Logits, ids: Ids) -> Ids:
    """`ids` sorted by falling value, equal values by rising id: one integer sort of (value, id) pairs."""
    # Subtracting from zero turns the order round and makes -0.0 and 0.0 the same bits.
    bits = np.subtract(np.float32(0), values[ids]).view(np.int32)
    # Negative floats count backwards in their bits; flipping all but the sign makes integers that sort like the floats.
    bits ^= (bits >> 31) & 0x7FFFFFFF
    keys = (bits.astype(np.int64) << 32) | ids
    keys.sort()
    return (keys & 0xFFFFFFFF).astype(np.intp, copy=False)


def leading(values: Logits, fraction: float, temperature: float = 1.0) -> Ids:
    """The shortest head of the canonical order that holds `fraction` of the probability at `temperature`.

    Its last element is also the inverse of the distribution function at `fraction`.
    """
    target = fraction * mass(values, temperature)
    for count in (*HEADS, values.size):
        ids = best(values, count)
        summed = weights(values[ids], temperature).cumsum()
        if summed[-1] >= target:
            break
    return ids[: reaching(summed, target)]


def reaching(summed: NDArray[np.float64], target: float) -> int:
    """How many leading entries of the running sum it takes to reach `target` (all of the weight where none does)."""
    return int(summed.searchsorted(min(target, summed[-1]))) + 1


def weights(ordered: Logits, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of logits in canonical order, relative to the first."""
    return np.exp((ordered.astype(np.float64) - float(ordered[0])) / temperature)


def mass(values: Logits, temperature: float = 1.0) -> float:
    """Sum of all probabilities relative to the largest, in any order."""
    top, total = values.max(), 0.0
    # In blocks, so that the intermediate values stay in the processor's cache.
    with np.errstate(over="ignore"):
        for start in range(0, values.size, _BLOCK):
            block = values[start : start + _BLOCK] - top
            if temperature != 1.0:
                block /= np.float32(temperature)
            np.exp(block, out=block)
            total += float(block.sum())
    return total


def _floor(values: Logits, count: int) -> float:
    """A value that at least `count` of `values` reach, and few more do; -inf to keep everything.

    Each group's maximum is a value of its own, so the `count`-th largest maximum is at most the `count`-th largest
    value. With four groups for every value wanted few others reach it, and groups of strided values are maximized in
    one sweep of vector instructions: a tenth of the time of a partition.
    """
    size, groups = values.size, max(_MIN_GROUPS, 4 * count)
    if count >= size:
        return -np.inf
    if 2 * groups > size:
        return float(np.partition(values, size - count)[size - count])
    rows = size // groups
    maxima = values[: rows * groups].reshape(rows, groups).max(axis=0)
    maxima.partition(groups - count)
    return float(maxima[groups - count])
