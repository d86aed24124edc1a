"""llama.cpp as an `EmbeddingBackend`: GGUF models that make embeddings or rank documents, and any other GGUF model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from msgspec.structs import replace

from edgellm.backends.base import Limits
from edgellm.backends.batch import Chunk
from edgellm.backends.embedding import Rows
from edgellm.backends.llamacpp.backend import describe
from edgellm.backends.llamacpp.decode import BatchArrays, decode_error
from edgellm.backends.llamacpp.embedding_context import EmbeddingContext
from edgellm.backends.llamacpp.pairs import Pairs
from edgellm.backends.llamacpp.vocabulary import LlamaVocabulary
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, Unsupported

SETTLED = ("qwen3", "qwen3vl")  # the library gives probabilities for these, and bare logits for all others


class LlamaCppEmbedding:
    """One GGUF model, loaded. Make it with `load`."""

    def __init__(self, context: EmbeddingContext, settings: ModelSettings) -> None:
        lib, model = context.library, context.model
        self._context = context
        self._vocabulary = LlamaVocabulary(context)
        self.info = replace(describe(context), context_length=context.longest)
        self.longest = context.longest
        self.batch = min(context.step, max(settings.batch, 2))
        self.sequences = context.sequences
        self.vocabulary = len(self._vocabulary)
        self.ranks = context.pooling == "rank"
        self.width = int(lib.llama_model_n_cls_out(model) if self.ranks else lib.llama_model_n_embd_out(model))
        self._pairs = Pairs(context, self._vocabulary)
        self._settled = context.facts.architecture in SETTLED
        if self.ranks and self.width > 1 and not self._settled:
            raise Unsupported(f"{context.path} sorts texts into {self.width} classes; that is no score of a document.")
        self._limits = Limits(lib.llama_n_ctx(context.context), self.sequences, context.step, context.step)
        self._arrays = BatchArrays(lib, context.step)

    @classmethod
    def load(cls, path: Path, settings: ModelSettings) -> Self:
        """Load and warm up. Raises ModelNotFound, LoadError (with its subclasses) or Unsupported."""
        context = EmbeddingContext(path, settings)
        try:
            backend = cls(context, settings)
            backend.compute([[backend._vocabulary.bos or 0]])
        except BaseException:
            context.close()
            raise
        return backend

    def tokenize(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, special=True, add_bos=True)

    def pair(self, query: str, document: str) -> list[int]:
        return self._pairs.tokens(query, document)

    def shorten(self, tokens: list[int]) -> list[int]:
        if len(tokens) <= self.longest:
            return tokens
        closing = tokens[-1:] if tokens[-1] in self._pairs.closing else []
        return tokens[: self.longest - len(closing)] + closing

    def compute(self, inputs: Sequence[Sequence[int]]) -> Rows:
        assert 0 < len(inputs) <= self.sequences and all(inputs), [len(tokens) for tokens in inputs]
        if sum(map(len, inputs)) <= self._limits.batch:
            self._decode([Chunk(slot, 0, tokens, len(tokens)) for slot, tokens in enumerate(inputs)])
        else:
            self._step_through(inputs)
        rows = np.stack([self._row(slot) for slot in range(len(inputs))])
        self._forget()
        if not np.isfinite(rows).all():
            raise BackendError("the model gave numbers that are none (NaN). Its file may be damaged: try another.")
        return rows

    def probabilities(self, rows: Rows) -> Rows:
        scores = self.raw_scores(rows)
        if self._settled:
            return scores
        with np.errstate(over="ignore"):
            sigmoid: Rows = np.divide(1, 1 + np.exp(-scores), dtype=np.float32)
        return sigmoid

    def raw_scores(self, rows: Rows) -> Rows:
        assert self.ranks
        return rows[:, 0]

    def close(self) -> None:
        self._vocabulary.forget()
        self._context.close()

    def _step_through(self, inputs: Sequence[Sequence[int]]) -> None:
        """One input that is longer than a step; what its last step gives is the whole input's."""
        assert self._context.stepwise and len(inputs) == 1 and len(inputs[0]) <= self.longest, len(inputs[0])
        (tokens,), step = inputs, self._limits.batch
        for start in range(0, len(tokens), step):
            piece = tokens[start : start + step]
            self._decode([Chunk(0, start, piece, len(piece))])

    def _decode(self, batch: list[Chunk]) -> None:
        self._arrays.fill(batch, self._limits)
        context, log = self._context, self._context.native.log
        mark = log.mark()
        code = context.library.llama_decode(context.context, self._arrays.native)
        if code != 0:
            self._forget()
            raise decode_error(code, log.since(mark, problems=True))

    def _row(self, slot: int) -> Rows:
        pointer = self._context.library.llama_get_embeddings_seq(self._context.context, slot)
        assert pointer, "the library kept no embedding"
        row: Rows = np.ctypeslib.as_array(pointer, (self.width,)).copy()
        return row

    def _forget(self) -> None:
        if memory := self._context.memory:
            self._context.library.llama_memory_clear(memory, False)
