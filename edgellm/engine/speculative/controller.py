"""How many drafted tokens a step verifies, over all its sequences: as raises tokens a millisecond, within bounds.

Pure: chances and costs go in, a number of tokens for each sequence comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence as Seq, Set
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.loss_account import LossAccount

BEGIN, GO_ON = 1.05, 1.0
"""Speedups expected of a round: to begin with drafts, and to go on with them."""

_AS_GOOD = 0.95
"""Of the best speedup, as much as a smaller round may give and be taken: where it fails, less is lost."""


@dataclass(slots=True)
class Candidate:
    """A decoding sequence: the chance of each token drafted for it, and what it may lose.

    `whole` is the time its request takes from beginning to end, in milliseconds.
    """

    id: int
    account: LossAccount
    whole: float
    survival: list[float] = field(default_factory=list)
    """That this token and all before it come true, seen with caution; falls."""

    @classmethod
    def of(cls, id: int, account: LossAccount, whole: float, chances: Iterable[float]) -> Candidate:
        return cls(id, account, whole, list(accumulate(chances, lambda before, chance: before * chance)))


@dataclass(frozen=True, slots=True)
class Decision:
    """Drafted tokens by sequence (none is left out), the speedup expected, and what a plain step would cost.

    `round_ms` is what the round should take, the drafting that was done for it included.
    """

    lengths: Mapping[int, int]
    speedup: float
    plain_ms: float
    round_ms: float
    reason: str = ""

    @property
    def drafted(self) -> int:
        return sum(self.lengths.values())


_Token = tuple[bool, float, int, int]
"""A drafted token, as it is sorted: whether it is not to come first, its chance below 0, its place in the draft, and
the sequence's id."""


class _Round(NamedTuple):
    """Drafted tokens by sequence, and who could not bear a round that would have been better."""

    lengths: dict[int, int]
    speedup: float
    poor: Set[int]


class Controller:
    """Decides round by round; remembers who has begun, for a beginning takes more than going on."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        self._on: set[int] = set()
        self._known: dict[int, list[tuple[float, int]]] = {}
        self._points: Seq[int] = ()

    def forget(self, id: int) -> None:
        self._on.discard(id)

    def pause(self) -> None:
        """A round without drafts went by, undecided as there were none."""
        self._on.clear()

    def decide(self, candidates: Seq[Candidate], rows: int, *, spent: float | None = None) -> Decision:
        """The best round of at most `rows` drafted tokens for `candidates`, all that decode in this step.

        `spent`: so many milliseconds went into drafts already; whatever verification gains is worth it, but what it
        may lose comes on top of them.
        """
        times, base = self._times, len(candidates)
        plain = times.at(base, base) + times.host * base
        if rows <= 0 or not any(each.survival for each in candidates):
            self._on.difference_update(each.id for each in candidates)
            return Decision({}, 1.0, plain, plain + (spent or 0.0), "nothing to draft")
        best = self._best(candidates, _order(candidates)[:rows], spent)
        if base > 1 and any(each.survival for each in candidates if each.id in best.poor):
            # They have lost by the others' drafts, and by their own they gain what they need for those.
            own_first = self._best(candidates, _order(candidates, best.poor)[:rows], spent)
            best = own_first if own_first.lengths else best
        if best.lengths:
            self._on.update(best.lengths)
            took = times.at(base + sum(best.lengths.values()), base) + times.host * base + (spent or 0.0)
            return Decision(best.lengths, best.speedup, plain, took)
        self._on.difference_update(candidate.id for candidate in candidates)
        reason = "enough was lost in this request" if best.poor else "not worth it here"
        return Decision({}, 1.0, plain, plain + (spent or 0.0), reason)

    def _best(self, candidates: Seq[Candidate], order: Seq[_Token], spent: float | None) -> _Round:
        """The best round with the first tokens of `order` that all candidates can bear; without lengths if none is."""
        base = len(candidates)
        gains = [0.0, *accumulate(-chance for _, chance, _, _ in order)]
        sizes = self._sizes(base, len(order))
        speedup = {size: self.speedup(base, size, gains[size]) for size in sizes}
        worst = {size: self._worst(base, size) + (spent or 0.0) for size in sizes}
        poor: set[int] = set()
        for size in _ranked(speedup, worst):
            lengths = _lengths(order[:size])
            bar = GO_ON if spent is not None or any(id in self._on for id in lengths) else BEGIN
            if speedup[size] < bar:
                break
            unable = {each.id for each in candidates if worst[size] > each.account.left(each.whole)}
            poor = poor or unable
            if not unable:
                return _Round(lengths, speedup[size], poor)
        return _Round({}, 1.0, poor)

    def most(self, candidate: Candidate, base: int) -> int:
        """Tokens drafted in the largest round of `base` sequences that the candidate could bear and that would pay if
        all of them came true; 0 if there is none. No more need be guessed.
        """
        left = candidate.account.left(candidate.whole)
        return next((size for worst, size in self._sizes_that_pay(base) if worst <= left), 0)

    def refresh(self) -> None:
        """Step times have moved: work out anew what `most` goes by."""
        self._known.clear()

    def _sizes_that_pay(self, base: int) -> list[tuple[float, int]]:
        """What rounds of `base` sequences lose at worst, and their sizes, largest first."""
        if self._points is not self._times.points:
            self._points = self._times.points
            self._known.clear()
        known = self._known.get(base)
        if known is None:
            sizes = (points - base for points in reversed(self._points) if points > base)
            known = self._known[base] = [
                (self._worst(base, size), size) for size in sizes if self.speedup(base, size, size) >= GO_ON
            ]
        return known

    def _worst(self, base: int, size: int) -> float:
        """Milliseconds that a round loses if nothing of it comes true, as slow as steps may be for no reason, with what
        the steps behind it take longer.
        """
        times = self._times
        return (1 + times.scatter(base)) * times.at(base + size, base) - times.at(base, base) + times.change

    def speedup(self, base: int, size: int, gain: float, drafting: float = 0.0) -> float:
        """S: of `base` sequences that verify `size` tokens of which `gain` come true; `drafting` in milliseconds."""
        times = self._times
        tokens = base + gain
        plain = times.at(base, base) / base + times.host
        change = times.change if size else 0.0
        return tokens * plain / (times.at(base + size, base) + change + times.host * tokens + drafting)

    def _sizes(self, base: int, most: int) -> list[int]:
        """Sizes that fill the rows to a measured point, and all there is: in between, nothing is known for sure."""
        sizes = [point - base for point in self._times.points if 0 < point - base <= most]
        if 0 < most < (self._times.points[-1] - base) and most not in sizes:
            sizes.append(most)
        return sizes


def _ranked(speedup: Mapping[int, float], worst: Mapping[int, float]) -> list[int]:
    """Sizes, the one to be taken first: of those about as good as the best, the one that loses least where it fails."""
    good = _AS_GOOD * max(speedup.values(), default=0.0)
    return sorted(
        speedup,
        key=lambda size: (0.0, worst[size], -speedup[size]) if speedup[size] >= good else (1.0, -speedup[size], 0.0),
    )


def _order(candidates: Iterable[Candidate], first: Set[int] = frozenset()) -> list[_Token]:
    """All that was drafted, the likeliest first; before everything else what was drafted for those `first`."""
    return sorted(
        (candidate.id not in first, -chance, place, candidate.id)
        for candidate in candidates
        for place, chance in enumerate(candidate.survival)
    )


def _lengths(order: Iterable[_Token]) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for _, _, _, id in order:
        lengths[id] = lengths.get(id, 0) + 1
    return lengths
