"""Who guesses ahead: the interface of drafting, and the proposer that never drafts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgellm.engine.sequence import Sequence


class Proposer(Protocol):
    """Hears of every sequence's life and may draft tokens to be verified beside the next one."""

    def admit(self, sequence: Sequence) -> None:
        """`sequence` has a slot and begins (or, after preemption, begins again)."""
        ...

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        """Drafts by sequence id for `sequences`, all decoding; together at most `rows` tokens."""
        ...

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        """The step appended tokens to `sequence.tokens`; `accepted` of its `drafted` tokens are among them."""
        ...

    def release(self, sequence: Sequence) -> None:
        """`sequence` lost its slot: finished, cancelled or preempted."""
        ...


class NoProposer:
    """Plain decoding: verification with zero drafts."""

    def admit(self, sequence: Sequence) -> None: ...

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        return {}

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None: ...

    def release(self, sequence: Sequence) -> None: ...
