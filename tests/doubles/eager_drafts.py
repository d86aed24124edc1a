"""A proposer that asks a draft model at every step, whether or not that pays."""

from __future__ import annotations

from collections.abc import Mapping

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative.draft_model import Ask, DraftModel
from edgellm.engine.speculative.proposer import NoProposer


class EagerDrafts(NoProposer):
    """Drafts `length` tokens for every sequence that decodes, as far as the rows go."""

    def __init__(self, drafter: DraftModel, length: int = 4) -> None:
        self.drafter = drafter
        self.length = length
        self.open: set[int] = set()
        self.drafted = self.accepted = 0

    def admit(self, sequence: Sequence) -> None:
        assert sequence.id not in self.open
        self.open.add(sequence.id)

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        share = min(self.length, max(0, rows) // max(1, len(sequences)))
        asks = [
            Ask(s.id, s.tokens, min(share, s.job.max_tokens - s.generated - 1)) for s in sequences if s.id in self.open
        ]
        drafts = self.drafter.draft(asks, lambda id, draft: True).drafts
        return {id: draft.tokens for id, draft in drafts.items()}

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        self.drafted += drafted
        self.accepted += accepted

    def release(self, sequence: Sequence) -> None:
        self.open.remove(sequence.id)
        self.drafter.release(sequence.id)

    def close(self) -> None:
        self.drafter.close()
