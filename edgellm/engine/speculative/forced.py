"""What a sequence's grammar leaves no choice about is guessed first: the model may only spell it in other tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence as Seq

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative.acceptance import Acceptance

Guess = tuple[int, float]
"""A token, and the chance, seen with caution, that it comes true if all before it do."""

_PLACES = (0, 1, 4)
GROUPS = (len(_PLACES),)
"""Kinds of guesses, by place in the run."""

PRIORS = (0.85, 0.9, 0.9)


class ForcedRun:
    """Of one sequence: `look` before each step, `judge` with what the step appended."""

    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance
        self._own = acceptance.own()
        self._run: list[int] = []

    def look(self, sequence: Sequence) -> Seq[Guess]:
        """The run that must follow now, in the tokens in which the model would write it by itself."""
        self._run = [] if sequence.grammar is None else sequence.grammar.forced()
        return list(self._guesses())

    def judge(self, appended: Seq[int]) -> None:
        for place, (token, real) in enumerate(zip(self._run, appended, strict=False)):
            self._acceptance.observe(_kind(place), token == real, self._own)
            if token != real:
                break
        self._run = []

    def _guesses(self) -> Iterator[Guess]:
        for place, token in enumerate(self._run):
            yield token, self._acceptance.chance(_kind(place), self._own)


def merged(forced: Seq[Guess], copied: Iterator[Guess]) -> Iterator[Guess]:
    """The forced run; with the better chance of both where a copy agrees, and then the rest of that copy."""
    for token, chance in forced:
        also = next(copied, None)
        if also is not None and also[0] == token:
            chance = max(chance, also[1])
        else:
            copied = iter(())
        yield token, chance
    yield from copied


def _kind(place: int) -> int:
    return bisect_right(_PLACES, place) - 1
