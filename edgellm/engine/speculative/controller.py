"""How many drafted tokens a step verifies, over all its sequences: as raises tokens a millisecond, within bounds.

Pure: chances and costs go in, a number of tokens for each sequence comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence as Seq
from dataclasses import dataclass, field
from itertools import accumulate

from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.loss_account import STAKE, LossAccount

BEGIN, GO_ON = 1.05, 1.0
"""Speedups expected of a round: to begin with drafts, and to go on with them."""

RISK = 0.05
"""The chance that counts as none where a round would cost a request more than its share."""


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
    sure: int = 0
    """So many of the first tokens come true, but for a chance of `RISK`."""

    @classmethod
    def of(cls, id: int, account: LossAccount, whole: float, chances: Iterable[float]) -> Candidate:
        survival = list(accumulate(chances, lambda before, chance: before * chance))
        return cls(id, account, whole, survival, sum(reached >= 1 - RISK for reached in survival))


@dataclass(frozen=True, slots=True)
class Decision:
    """Drafted tokens by sequence (none is left out), the speedup expected, and what plain decoding would cost."""

    lengths: Mapping[int, int]
    speedup: float
    plain_ms: float
    reason: str = ""

    @property
    def drafted(self) -> int:
        return sum(self.lengths.values())


class Controller:
    """Decides round by round; remembers who has begun, for a beginning takes more than going on."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        self._on: set[int] = set()

    def forget(self, id: int) -> None:
        self._on.discard(id)

    def decide(self, candidates: Seq[Candidate], rows: int, *, spent: float | None = None) -> Decision:
        """The best round of at most `rows` drafted tokens for `candidates`, all that decode in this step.

        `spent`: so many milliseconds went into drafts already; whatever verification gains is worth it, but what it
        may lose comes on top of them, and nothing is staked.
        """
        times, base = self._times, len(candidates)
        plain = times.at(base, base) + times.host * base
        if rows <= 0 or not any(each.survival for each in candidates):
            # Most steps of most texts end here, and on a GPU a step may take two milliseconds.
            self._on.difference_update(each.id for each in candidates)
            return Decision({}, 1.0, plain, "nothing to draft")
        order = sorted(
            (-chance, place, candidate.id)
            for candidate in candidates
            for place, chance in enumerate(candidate.survival)
        )[:rows]
        gains = [0.0, *accumulate(-chance for chance, _, _ in order)]
        sizes = self._sizes(base, len(order))
        speedup = {size: self.speedup(base, size, gains[size]) for size in sizes}
        best = sorted(sizes, key=lambda size: -speedup[size])
        stakes = not self._could_begin(candidates, [size for size in sizes if speedup[size] >= BEGIN])
        reason = ""
        for size in best:
            lengths = _lengths(order[:size])
            bar = GO_ON if spent is not None or any(id in self._on for id in lengths) else BEGIN
            if speedup[size] < bar:
                reason = reason or "not worth it here"
                break
            if self._bearable(candidates, size, lengths if stakes else {}, spent):
                self._on.update(lengths)
                return Decision(lengths, speedup[size], plain)
            reason = "enough was lost in this request"
        self._on.difference_update(candidate.id for candidate in candidates)
        return Decision({}, 1.0, plain, reason)

    def speedup(self, base: int, size: int, gain: float, drafting: float = 0.0) -> float:
        """S: of `base` sequences that verify `size` tokens of which `gain` come true; `drafting` in milliseconds."""
        times = self._times
        tokens = base + gain
        plain = times.at(base, base) / base + times.host
        return tokens * plain / (times.at(base + size, base) + times.host * tokens + drafting)

    def _sizes(self, base: int, most: int) -> list[int]:
        """Sizes that fill the rows to a measured point, and all there is: in between, nothing is known for sure."""
        sizes = [point - base for point in self._times.points if 0 < point - base <= most]
        if 0 < most < (self._times.points[-1] - base) and most not in sizes:
            sizes.append(most)
        return sizes

    def _could_begin(self, candidates: Seq[Candidate], sizes: Iterable[int]) -> bool:
        """Whether some of these rounds is within every sequence's share, come what may."""
        base, at = len(candidates), self._times.at
        worst = min((at(base + size, base) for size in sizes), default=0.0) - at(base, base)
        return all(each.account.could_begin(worst, each.whole) for each in candidates)

    def _bearable(self, candidates: Seq[Candidate], size: int, lengths: Mapping[int, int], spent: float | None) -> bool:
        """Whether every sequence of the step, with a draft or without, can bear that the drafts are wrong."""
        base, at = len(candidates), self._times.at
        plain, took = at(base, base), at(base + size, base) + (spent or 0.0)
        surely = {each.id: 1 + min(each.sure, lengths.get(each.id, 0)) for each in candidates}
        stake = STAKE if spent is None else 0.0
        return all(
            each.account.allows(took - plain, took - plain * surely[each.id], each.whole, stake) for each in candidates
        )


def _lengths(order: Iterable[tuple[float, int, int]]) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for _, _, id in order:
        lengths[id] = lengths.get(id, 0) + 1
    return lengths
