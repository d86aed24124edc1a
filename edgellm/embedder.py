"""The `Embedder` interface: anything that turns texts into vectors, or tells how well documents answer a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgellm.model import ModelInfo

Vectors = NDArray[np.float32]
"""Shape (inputs, dimensions); every row has the length 1."""

Scores = NDArray[np.float32]
"""Shape (documents,); the higher, the better a document answers."""

Text = str | list[int]
"""A text, or the token ids of one, taken as they are."""


class Embeddings(msgspec.Struct, frozen=True):
    """A vector an input, in their order, and how many tokens of each were read; `dropped` ones were cut off in all."""

    vectors: Vectors
    tokens: tuple[int, ...]
    dropped: int = 0


class Ranking(msgspec.Struct, frozen=True):
    """A score a document, in their order, and how many tokens each took together with the query.

    `dropped` tokens were cut off in all. Scores are probabilities; with `raw` asked for, what the model's last layer
    says, without bounds.
    """

    scores: Scores
    tokens: tuple[int, ...]
    dropped: int = 0


class Embedder(Protocol):
    """Local models, worker processes and doubles of them are all this.

    Requests of several callers are computed side by side; a caller that is cancelled takes its work along.
    """

    @property
    def info(self) -> ModelInfo:
        """Known after `start`; before it, what is known without loading. `context_length` is the longest input."""
        ...

    async def start(self) -> None:
        """Load whatever must be loaded; called implicitly by the first request. Idempotent."""
        ...

    async def embed(
        self, inputs: Sequence[Text], *, dimensions: int | None = None, truncate: bool = False
    ) -> Embeddings:
        """A vector for each of `inputs`, of at most `dimensions` numbers if given.

        An input that is too long loses its end where `truncate` says so. Raises ContextOverflow, RequestError for an
        input without a single token or with unknown ids, and Unsupported for a reranker or for `dimensions` to which
        its makers did not train the vectors to be cut.
        """
        ...

    async def rerank(
        self, query: str, documents: Sequence[str], *, raw: bool = False, truncate: bool = False
    ) -> Ranking:
        """How well each of `documents` answers `query`. Raises ContextOverflow, and Unsupported for other models."""
        ...

    async def aclose(self) -> None:
        """Stop everything and give the memory back. Idempotent."""
        ...
