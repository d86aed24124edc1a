"""What one step decodes (`Batch`) and what comes out of it (`Rows`)."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one slot that follow each other, the first at position `start`.

    The last `rows` tokens give a row of logits each (0 for a prompt's inner chunks, 1 for plain decoding,
    1 + k for verifying k drafted tokens).
    """

    slot: int
    start: int
    tokens: Seq[int]
    rows: int = 1


Batch = list[Chunk]


class Rows(Protocol):
    """The logits one decode produced, row by row, in the batch's order; valid until the next decode.

    A GPU may still be computing them: whoever asks for one waits.
    """

    def __len__(self) -> int: ...

    def wait(self) -> None:
        """Return once they are computed."""
        ...

    def argmax(self, row: int) -> int:
        """Token id of the largest logit; the lowest id on a tie."""
        ...

    def logits(self, row: int) -> Logits:
        """float32, shape (vocabulary,), borrowed from the backend: copy it to keep it or to write on it."""
        ...
