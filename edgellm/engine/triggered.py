"""`Triggered`: text without constraint, but from a mark on under a grammar, until that is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence as Seq
from dataclasses import dataclass, field

from edgellm.engine.constraint import Constraint, ConstraintState, Mask

_LONGEST_MARK = 16  # in tokens


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """Where tokens spell `mark`, from the first of them on, they and what follows must be what `grammar` allows.

    `piece` gives a token's bytes, those of control tokens too. A mark that begins within a token, or that the grammar
    does not allow as it is spelled, triggers nothing.
    """

    piece: Callable[[int], bytes]
    mark: bytes
    grammar: Constraint

    def start(self, stops: Iterable[int]) -> TriggeredState:
        return TriggeredState(self, frozenset(stops))

    def triggered(self, tail: Seq[int], stops: frozenset[int]) -> ConstraintState | None:
        """The grammar behind the tokens at the end of `tail` that spell the mark, if they do."""
        spelled = b""
        for start in range(len(tail) - 1, max(-1, len(tail) - 1 - _LONGEST_MARK), -1):
            spelled = self.piece(tail[start]) + spelled
            if spelled.startswith(self.mark):
                return self._replayed(tail[start:], stops)
            if len(spelled) >= len(self.mark) + len(self.piece(tail[-1])):
                return None
        return None

    def _replayed(self, tokens: Seq[int], stops: frozenset[int]) -> ConstraintState | None:
        state = self.grammar.start(stops)
        for token in tokens:
            if token in stops or not state.allows(token):
                return None
            state.advance(token)
        return state


@dataclass(slots=True)
class TriggeredState:
    """`inner` is there while the grammar holds."""

    plan: Triggered
    stops: frozenset[int]
    inner: ConstraintState | None = None
    _tail: list[int] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return False

    def allows(self, token: int) -> bool:
        return self.inner is None or self.inner.allows(token)

    def mask(self) -> Mask | None:
        return None if self.inner is None else self.inner.mask()

    def advance(self, token: int) -> None:
        if self.inner is None:
            self._tail = [*self._tail[1 - _LONGEST_MARK :], token]
            self.inner = self.plan.triggered(self._tail, self.stops)
        elif token not in self.stops:
            self.inner.advance(token)
        if self.inner is not None and self._complete(self.inner):
            self.inner, self._tail = None, []

    def agreeing(self, drafts: Seq[int]) -> int:
        """Never too many; fewer than could be behind a grammar that is complete."""
        if self.inner is not None:
            return self.inner.agreeing(drafts)
        tail = list(self._tail)
        for index, token in enumerate(drafts):
            if token in self.stops:
                return index + 1
            tail.append(token)
            if (inner := self.plan.triggered(tail, self.stops)) is not None:
                return index + 1 + inner.agreeing(drafts[index + 1 :])
        return len(drafts)

    def forced(self) -> list[int]:
        return [] if self.inner is None else self.inner.forced()

    def _complete(self, inner: ConstraintState) -> bool:
        return inner.ended or any(inner.allows(stop) for stop in self.stops)
