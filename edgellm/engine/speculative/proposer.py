"""Who guesses ahead: the interface of drafting, and the proposer that never drafts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edgellm.engine.sequence import Sequence
from edgellm.model import SpeculationStatus


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What a step of decodes alone took: `rows` decoded, `drafted` of them guesses, and `tokens` that came out."""

    rows: int
    drafted: int
    tokens: int
    decode_s: float
    whole_s: float


class Proposer(Protocol):
    """Hears of every sequence's life and may draft tokens to be verified beside the next one."""

    def admit(self, sequence: Sequence) -> None:
        """`sequence` has a slot and begins (or, after preemption, begins again)."""
        ...

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        """Drafts by sequence id for `sequences`, the whole of the next step; together at most `rows` tokens.

        No draft leads beyond what its sequence may still generate.
        """
        ...

    def meanwhile(self) -> None:
        """A step is under way, of the sequences admitted and proposed for: work that can wait until here.

        A GPU computes beside it.
        """
        ...

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        """The step appended tokens to `sequence.tokens`; `accepted` of its `drafted` tokens are among them."""
        ...

    def release(self, sequence: Sequence) -> None:
        """`sequence` lost its slot: finished, cancelled or preempted."""
        ...

    def stepped(self, step: StepRecord) -> None:
        """A step without prompts is over."""
        ...

    def tidy(self) -> bool:
        """Do a short piece of work that can wait for a quiet moment; False when there is none."""
        ...

    def status(self) -> SpeculationStatus: ...

    def close(self) -> None:
        """Give back what drafting took. Idempotent."""
        ...


class NoProposer:
    """Plain decoding: verification with zero drafts."""

    def admit(self, sequence: Sequence) -> None: ...

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        return {}

    def meanwhile(self) -> None: ...

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None: ...

    def release(self, sequence: Sequence) -> None: ...

    def stepped(self, step: StepRecord) -> None: ...

    def tidy(self) -> bool:
        return False

    def status(self) -> SpeculationStatus:
        return SpeculationStatus()

    def close(self) -> None: ...
