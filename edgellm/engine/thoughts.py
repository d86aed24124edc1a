"""`Thoughts`: a model thinks freely, for as long as its budget lasts, and only then comes under its grammar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from edgellm.engine.constraint import Constraint, ConstraintState, Mask

Phase = Literal["before", "inside", "closing", "after", "answer"]


@dataclass(frozen=True, kw_only=True)
class Thoughts:
    """How thoughts look in tokens, how many there may be, and what holds for the answer behind them.

    `piece` gives a token's bytes, those of control tokens too, of a vocabulary of `size`. The prompt may leave thoughts
    `open`; else an answer that begins with `opening` (the token `opener`, if it is one) has some. They end with
    `closing`; `forced` are the tokens that write it when `budget` tokens were thought (None: never; 0: there are none).
    One of `gaps` may stand between thoughts and answer. An answer that is `loose` may begin with anything.
    """

    piece: Callable[[int], bytes]
    size: int
    open: bool
    opening: bytes
    opener: int | None
    closing: bytes
    forced: tuple[int, ...]
    gaps: frozenset[int] = frozenset()
    budget: int | None = None
    answer: Constraint | None = None
    loose: bool = False

    def start(self, stops: Iterable[int]) -> ThoughtsState:
        ends = frozenset(stops)
        inner = self.answer.start(ends) if self.answer is not None else None
        return ThoughtsState(self, inner, ends, inner is None or self.loose)


@dataclass(slots=True)
class _Place:
    """All that changes before the answer begins."""

    phase: Phase
    written: bytes = b""  # what may turn out to be a tag
    thought: int = 0
    forced: int = 0


@dataclass(slots=True)
class ThoughtsState:
    """The thoughts of one sequence; `inner` is asked for each token of the answer, and for no other."""

    plan: Thoughts
    inner: ConstraintState | None
    stops: frozenset[int]
    free: bool
    _place: _Place = field(init=False)

    def __post_init__(self) -> None:
        spent = self.plan.budget == 0
        if self.plan.open:
            self._place = _Place("closing" if spent else "inside")
        elif not self.free and (spent or self.plan.opener is None):
            self._place = _Place("answer")  # a tag of several tokens cannot be told from the answer in time
        else:
            self._place = _Place("before")

    @property
    def ended(self) -> bool:
        return self._place.phase == "answer" and self.inner is not None and self.inner.ended

    def allows(self, token: int) -> bool:
        return self._allows(self._place, token)

    def mask(self) -> Mask | None:
        place, inner = self._place, self.inner
        if place.phase == "closing":
            return self._only({self.plan.forced[place.forced]})
        if place.phase == "inside":
            return None if self.free else self._all_but(self.stops)
        mask = None if inner is None else inner.mask()
        if mask is not None and place.phase != "answer":
            mask = mask | self._only(self._besides(place))
        return mask

    def advance(self, token: int) -> None:
        """Tokens of the answer go to its own constraint."""
        if self._step(self._place, token) and self.inner is not None:
            self.inner.advance(token)

    def agreeing(self, drafts: Seq[int]) -> int:
        place = replace(self._place)
        for index, token in enumerate(drafts):
            between = place.phase in ("before", "after")
            if place.phase == "answer" or (between and self._begins_answer(place, token)):
                return index + (len(drafts) - index if self.inner is None else self.inner.agreeing(drafts[index:]))
            if not self._allows(place, token):
                return index
            if token in self.stops:
                return index + 1
            self._step(place, token)
        return len(drafts)

    def forced(self) -> list[int]:
        if self._place.phase == "closing":
            return list(self.plan.forced[self._place.forced :])
        return self.inner.forced() if self._place.phase == "answer" and self.inner is not None else []

    # -- one token ----------------------------------------------------------------------------------------------

    def _allows(self, place: _Place, token: int) -> bool:
        if place.phase == "closing":
            return token == self.plan.forced[place.forced]
        if place.phase == "inside":
            return self.free or token not in self.stops
        return self.inner is None or token in self._besides(place) or self.inner.allows(token)

    def _step(self, place: _Place, token: int) -> bool:
        """Goes on by `token`; whether it is the answer's."""
        match place.phase:
            case "before":
                return self._before(place, token)
            case "inside":
                self._inside(place, token)
            case "closing":
                place.forced += 1
                if place.forced == len(self.plan.forced):
                    place.phase = "answer"
            case "after":
                place.phase = "answer"
                return token not in self.plan.gaps
            case "answer":
                return True
        return False

    def _before(self, place: _Place, token: int) -> bool:
        if self._begins_answer(place, token):
            place.phase = "answer"
            return True
        place.written += self.plan.piece(token)
        if place.written.lstrip().startswith(self.plan.opening):
            place.phase, place.written = ("closing" if self._spent(place) else "inside"), b""
        return False

    def _inside(self, place: _Place, token: int) -> None:
        closing = self.plan.closing
        place.thought += 1
        place.written += self.plan.piece(token)
        if closing in place.written:
            place.phase = "after"
        else:
            place.written = place.written[-len(closing) :]
            place.phase = "closing" if self._spent(place) else "inside"

    def _begins_answer(self, place: _Place, token: int) -> bool:
        """Whether `token`, before any thoughts or right behind them, belongs to the answer."""
        if place.phase == "after":
            return token not in self.plan.gaps
        if not self.free:
            return token != self.plan.opener
        written, opening = (place.written + self.plan.piece(token)).lstrip(), self.plan.opening
        return not (opening.startswith(written) or written.startswith(opening))

    def _besides(self, place: _Place) -> frozenset[int]:
        """What may come before the answer, or behind the thoughts, though the answer's own constraint knows it not."""
        if place.phase == "after":
            return self.plan.gaps
        if place.phase == "before" and self.plan.opener is not None:
            return frozenset({self.plan.opener})
        return frozenset()

    def _spent(self, place: _Place) -> bool:
        return self.plan.budget is not None and place.thought >= self.plan.budget

    def _only(self, tokens: Iterable[int]) -> Mask:
        mask = np.zeros(self.plan.size, np.bool_)
        mask[list(tokens)] = True
        return mask

    def _all_but(self, tokens: Iterable[int]) -> Mask:
        mask = np.ones(self.plan.size, np.bool_)
        mask[list(tokens)] = False
        return mask
