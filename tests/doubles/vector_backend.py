"""`VectorBackend`: embeddings that can be foretold: a text's tokens are its characters, a row begins with their sum."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from edgellm.backends.embedding import Rows
from edgellm.model import ModelInfo


class VectorBackend:
    """Notes each batch; waits for `gate` before it computes, if there is one."""

    def __init__(
        self, *, batch: int = 64, sequences: int = 8, ranks: bool = False, gate: threading.Event | None = None
    ) -> None:
        self.info = ModelInfo(name="vectors", backend="double", context_length=32)
        self.longest = 32
        self.batch = batch
        self.sequences = sequences
        self.ranks = ranks
        self.width = 1 if ranks else 8
        self.vocabulary = 2000
        self.gate = gate
        self.batches: list[list[list[int]]] = []
        self.asked = 0
        self.closed = False

    def tokenize(self, text: str) -> list[int]:
        return [min(ord(letter), 1999) for letter in text]

    def pair(self, query: str, document: str) -> list[int]:
        return self.tokenize(query + document)

    def shorten(self, tokens: list[int]) -> list[int]:
        return tokens[: self.longest]

    def compute(self, inputs: Sequence[Sequence[int]]) -> Rows:
        self.asked += 1
        if self.gate is not None:
            assert self.gate.wait(10)
        self.batches.append([list(tokens) for tokens in inputs])
        return np.array([[sum(tokens), *range(1, self.width)] for tokens in inputs], np.float32)

    def probabilities(self, rows: Rows) -> Rows:
        return rows[:, 0] / (1 + rows[:, 0])

    def raw_scores(self, rows: Rows) -> Rows:
        return rows[:, 0]

    def close(self) -> None:
        self.closed = True
