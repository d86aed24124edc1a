"""`Constraint`: what a sequence may be written under; a grammar is one, a budget for thoughts another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence as Seq
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class ConstraintState(Protocol):
    """Where one sequence stands; used by one thread."""

    @property
    def ended(self) -> bool:
        """Nothing can follow what was written."""
        ...

    def allows(self, token: int) -> bool: ...

    def mask(self) -> Mask | None:
        """Shape (vocabulary,), True where a token is allowed; None where all are."""
        ...

    def advance(self, token: int) -> None:
        """`token`, which is allowed, was appended."""
        ...

    def agreeing(self, drafts: Seq[int]) -> int:
        """How many of `drafts`, from the first on, are allowed one after the other; a stop token ends them."""
        ...

    def forced(self) -> list[int]:
        """Tokens that spell what alone may follow, which others may spell too; empty where there is a choice."""
        ...


class Constraint(Protocol):
    """Immutable, shared by all sequences under it."""

    def start(self, stops: Iterable[int]) -> ConstraintState:
        """`stops` are the tokens that end the sequence."""
        ...
