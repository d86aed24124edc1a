"""Medians, quantiles and pairwise ratios of what was measured."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence as Seq
from typing import NamedTuple


class Spread(NamedTuple):
    """The middle of some values, and their ends."""

    median: float
    low: float
    high: float


def spread(values: Seq[float]) -> Spread | None:
    """None for no values."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def bootstrap(values: Seq[float], part: float = 0.95, draws: int = 2000) -> Spread | None:
    """The median, and between which ends it lies in `part` of samples drawn anew from the values; None for none."""
    if not values:
        return None
    chance = random.Random(0)
    medians = [statistics.median(chance.choices(values, k=len(values))) for _ in range(draws)]
    rest = (1 - part) / 2
    return Spread(statistics.median(values), quantile(medians, rest), quantile(medians, 1 - rest))


def median(values: Iterable[float | None]) -> float | None:
    """Of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def quantile(values: Seq[float], part: float) -> float:
    """The value below which `part` (0 .. 1) of the values lie, on the line between the two nearest."""
    assert values and 0 <= part <= 1
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratios(pairs: Iterable[tuple[float | None, float | None]]) -> list[float]:
    """First by second, pair by pair; pairs with one side missing or nought are left out."""
    return [ours / theirs for ours, theirs in pairs if ours and theirs]
