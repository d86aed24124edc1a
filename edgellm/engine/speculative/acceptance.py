"""How often guesses of each kind came true: over all requests of a model, fading slowly, and in each one by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence as Seq
from itertools import accumulate
from math import sqrt

import msgspec

_FADE = 0.995
"""What a count keeps with each new one of its kind: two hundred or so weigh."""

_MOST = 1 / (1 - _FADE)
"""That a count comes to in the end."""

_ADOPTED = 0.5

_TRUSTED = 10.0
"""Counts of a kind that weigh as much as what was assumed without any."""

_OWN = 4.0
"""Counts in a request that weigh as much as all others' experience."""

_NEIGHBOURS = 3
_CAUTION = 1.0
_CAUTIOUS = 0.3


class Record(msgspec.Struct):
    """Hits and tries of each kind."""

    hits: list[float]
    tries: list[float]

    @classmethod
    def empty(cls, kinds: int) -> Record:
        return cls([0.0] * kinds, [0.0] * kinds)


class Acceptance:
    """Kinds of guesses in groups, each group ordered from the doubtful to the sure.

    `priors` say what is assumed of each kind before it was counted. Without them, of a kind with few counts as much
    is assumed as is known of the next more doubtful one in its group, and of the first of a group `first`.
    """

    def __init__(self, groups: Seq[int], *, priors: Seq[float] = (), first: float = _CAUTIOUS) -> None:
        self.kinds = sum(groups)
        assert len(priors) in (0, self.kinds)
        self.shared = Record.empty(self.kinds)
        starts = list(accumulate(groups, initial=0))
        self._starts = [start for start, size in zip(starts, groups, strict=False) for _ in range(size)]
        self._priors = dict(enumerate(priors)) or dict.fromkeys(starts, first)

    def adopt(self, known: Record) -> None:
        """Go on from what an earlier process learned, at half its weight; ignored if it knew other kinds."""
        if len(known.hits) == len(known.tries) == self.kinds and all(0 <= h <= t <= _MOST for h, t in _pairs(known)):
            halves = ([_ADOPTED * count for count in counts] for counts in (known.hits, known.tries))
            self.shared = Record(*halves)

    def own(self) -> Record:
        """For one request."""
        return Record.empty(self.kinds)

    def observe(self, kind: int, hit: bool, own: Record) -> None:
        """A guess of `kind` was judged, all before it having come true."""
        shared = self.shared
        shared.hits[kind] = shared.hits[kind] * _FADE + hit
        shared.tries[kind] = shared.tries[kind] * _FADE + 1
        own.hits[kind] += hit
        own.tries[kind] += 1

    def estimate(self, kind: int, own: Record) -> tuple[float, float]:
        """That a guess of `kind` comes true in the request `own` is of, and the counts this rests on.

        What the request has seen of somewhat more doubtful kinds counts too: it can only be too cautious.
        """
        first = max(self._starts[kind], kind - _NEIGHBOURS)
        hits, tries = sum(own.hits[first : kind + 1]), sum(own.tries[first : kind + 1])
        return (hits + _OWN * self._assumed(kind)) / (tries + _OWN), tries + _OWN

    def chance(self, kind: int, own: Record) -> float:
        """The same, a standard error to the safe side: requests differ, and few counts say little of this one."""
        return cautious(*self.estimate(kind, own))

    def mean(self) -> float | None:
        """Of all guesses that were judged, the recent ones; None before there were any."""
        tries = sum(self.shared.tries)
        return sum(self.shared.hits) / tries if tries else None

    def _assumed(self, kind: int) -> float:
        """From all requests; asked for a few kinds at every token, so nothing is worked out for the others."""
        prior = self._priors.get(kind)
        if prior is None:
            prior = self._assumed(kind - 1)
        return (self.shared.hits[kind] + _TRUSTED * prior) / (self.shared.tries[kind] + _TRUSTED)


def cautious(mean: float, counts: float) -> float:
    """`mean`, known from so many counts, less a standard error."""
    return mean - _CAUTION * sqrt(mean * (1 - mean) / (counts + 1))


def _pairs(record: Record) -> Iterable[tuple[float, float]]:
    return zip(record.hits, record.tries, strict=True)
