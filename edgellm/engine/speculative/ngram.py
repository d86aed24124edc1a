"""Where the last tokens of a text occurred before: an index of hashes, grown token by token, never scanned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence as Seq

import numpy as np
from numpy.typing import NDArray

ORDERS = (12, 6, 3)
"""Lengths of the runs of tokens that are indexed, longest first."""

_SHORTEST = len(ORDERS) - 1

_WORD = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15
_SPREAD = 0xBF58476D1CE4E5B9
_LONGEST = 64


class SuffixIndex:
    """Over `tokens`, which others append to; `take_one` takes in the next of them.

    For each order a chain leads from the latest place of a run to the one before it, as in LZ77. Most new text repeats
    not even a short run, so longer ones are taken in when someone has time for it, or looks.
    """

    def __init__(self, tokens: Seq[int]) -> None:
        self.tokens = tokens
        self.size = 0
        self._heads: tuple[dict[int, int], ...] = tuple({} for _ in ORDERS)
        self._earlier: tuple[list[int], ...] = tuple([] for _ in ORDERS)
        self._hashes: tuple[list[int], ...] = tuple([] for _ in ORDERS)
        self._powers = [pow(_STEP, order, 2**64) for order in ORDERS]
        self._build()

    @property
    def repeats(self) -> bool:
        """Whether the last tokens occurred before, as many as the shortest run has."""
        return self.size > 0 and self._earlier[_SHORTEST][self.size - 1] >= 0

    def take_one(self) -> None:
        """Take in the first token appended since."""
        self._add(_SHORTEST, self.size)
        self.size += 1

    def complete(self) -> None:
        """Do what `take_one` left over."""
        for which in range(_SHORTEST):
            for at in range(len(self._hashes[which]), self.size):
                self._add(which, at)

    def places(self, most: int = 8) -> Iterator[int]:
        """Positions behind earlier occurrences of the last tokens, by the longest order that has any, latest first."""
        self.complete()
        last = self.size - 1
        for order, earlier in zip(ORDERS, self._earlier, strict=True):
            found, at = 0, earlier[last] if last >= 0 else -1
            while at >= 0 and found < most:
                if self.tokens[at - order + 1 : at + 1] == self.tokens[last - order + 1 : last + 1]:
                    yield at + 1
                found += 1
                at = earlier[at]
            if found:
                return

    def agreement(self, place: int) -> int:
        """How many tokens before `place` equal the last tokens, at most 64."""
        tokens, end, length = self.tokens, self.size, 0
        limit = min(_LONGEST, place, end)
        for step in (32, 16, 8, 8, 4, 2, 1, 1):
            if length + step <= limit and (
                tokens[place - length - step : place - length] == tokens[end - length - step : end - length]
            ):
                length += step
        return length

    def rival(self, place: int) -> bool:
        """Whether what stood before `place` was last followed by another token than stands there."""
        before, middle = place - 1, 1
        if before < ORDERS[middle] - 1:
            return False
        self.complete()
        head = self._heads[middle].get(self._hashes[middle][before], before)
        if head + 1 >= self.size or head == before:
            head = self._earlier[middle][head]
        return 0 <= head != before and self.tokens[head + 1] != self.tokens[place]

    def _build(self) -> None:
        """All at once, by sorting: a prompt may have many thousand tokens."""
        count = self.size = len(self.tokens)
        spread = (np.asarray(self.tokens, np.uint64) + np.uint64(1)) * np.uint64(_SPREAD)
        for which, order in enumerate(ORDERS):
            hashes = _rolled(spread, order)
            numbers = hashes.tolist()
            self._hashes[which].extend(numbers)
            self._earlier[which].extend(_chained(hashes, order).tolist())
            self._heads[which].update(zip(numbers[order - 1 :], range(order - 1, count), strict=True))

    def _add(self, which: int, at: int) -> None:
        order, earlier, hashes = ORDERS[which], self._earlier[which], self._hashes[which]
        number = (hashes[-1] * _STEP if at else 0) + _spread(self.tokens[at])
        if at >= order:
            number -= _spread(self.tokens[at - order]) * self._powers[which]
        number &= _WORD
        hashes.append(number)
        if at < order - 1:
            earlier.append(-1)
            return
        heads = self._heads[which]
        earlier.append(heads.get(number, -1))
        heads[number] = at


def _spread(token: int) -> int:
    return (token + 1) * _SPREAD & _WORD


def _rolled(spread: NDArray[np.uint64], order: int) -> NDArray[np.uint64]:
    """The hash of the `order` values up to each position, or of all where there are fewer: a polynomial mod 2**64."""
    padded = np.concatenate((np.zeros(order - 1, np.uint64), spread))
    hashes = np.zeros(len(spread), np.uint64)
    for offset in range(order):
        hashes = hashes * np.uint64(_STEP) + padded[offset : offset + len(spread)]
    return hashes


def _chained(hashes: NDArray[np.uint64], order: int) -> NDArray[np.int64]:
    """For each position the latest before it with the same hash, or -1."""
    earlier = np.full(len(hashes), -1, np.int64)
    whole = hashes[order - 1 :]
    by_hash = np.argsort(whole, kind="stable") + (order - 1)
    same = hashes[by_hash[1:]] == hashes[by_hash[:-1]]
    earlier[by_hash[1:][same]] = by_hash[:-1][same]
    return earlier
