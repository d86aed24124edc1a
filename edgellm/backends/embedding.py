"""The `EmbeddingBackend` interface: computes whole texts, many at a time, into vectors or scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgellm.model import ModelInfo

Rows = NDArray[np.float32]


class EmbeddingBackend(Protocol):
    """One loaded model. `compute` belongs to one thread at a time; the rest may be asked from any.

    `longest` is how many tokens an input may have. Together the inputs of one `compute` have at most `batch` tokens,
    unless there is only one, and number at most `sequences`. `width` counts the numbers of a row. A model that `ranks`
    scores pairs of query and document, and makes no embeddings.
    """

    info: ModelInfo
    longest: int
    batch: int
    sequences: int
    width: int
    vocabulary: int
    ranks: bool

    def tokenize(self, text: str) -> list[int]:
        """With the special tokens that the model wants around a text. Half a surrogate pair counts as U+FFFD."""
        ...

    def pair(self, query: str, document: str) -> list[int]:
        """The input of which a model that `ranks` makes the score."""
        ...

    def shorten(self, tokens: list[int]) -> list[int]:
        """`tokens`, at most `longest` of them, closed as `tokenize` closes a text."""
        ...

    def compute(self, inputs: Sequence[Sequence[int]]) -> Rows:
        """Shape (inputs, width): embeddings as the model makes them, not of length 1. Raises BackendError."""
        ...

    def probabilities(self, rows: Rows) -> Rows:
        """The score that each of `rows` means, shape (inputs,), between 0 and 1; of a model that `ranks`."""
        ...

    def raw_scores(self, rows: Rows) -> Rows:
        """The same as the model's last layer says it, shape (inputs,)."""
        ...

    def close(self) -> None:
        """Give the memory back. No thread may be using it. Idempotent."""
        ...
