"""llama.cpp's own plain greedy decoding, without any of our code: the text that ours is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PlainDecoder:
    """One context of one sequence: a prompt in one call, then a token a call, argmax of the logits."""

    def __init__(self, path: Path, threads: int, context: int = 2048) -> None:
        import llama_cpp

        from edgellm.backends.llamacpp import library

        library.load()  # for its log callback alone: nothing must be printed
        self._lib: Any = llama_cpp
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_seq_max, params.kv_unified = 2, True
        params.n_threads = params.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        self._batch = llama_cpp.llama_batch_init(512, 0, 1)
        self._length = 0
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._width = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._is_end = lambda token: llama_cpp.llama_vocab_is_eog(vocabulary, token)

    def logits(self, tokens: list[int], tail: int = 0, step: int = 1, displaced: int = 0) -> NDArray[np.float32]:
        """The logits after `tokens`, computed afresh behind `displaced` cells of another sequence.

        The last `tail` tokens go `step` a call, those before them in one.
        """
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        self._length = 0
        if displaced:
            self._decode(tokens[:1] * displaced, sequence=1)
        head = len(tokens) - tail
        if head > 0:
            self._decode(tokens[:head])
        for start in range(max(head, 0), len(tokens), step):
            self._decode(tokens[start : start + step])
        return self._row()

    def rounding(self, tokens: list[int], row: NDArray[np.float32]) -> float:
        """How far the ten best logits after `tokens` move from `row` when only batch sizes and cells differ.

        Flash attention sums up cells in parts of 256, in half precision: what counts is where the parts' borders fall.
        """
        count = len(tokens)
        borders = [256 - count * eighth // 8 for eighth in (1, 3, 5, 7)]
        ways = [(tail, 1, cells) for tail in (0, 4) for cells in borders]
        best = np.argsort(row)[-10:]
        return max(float(np.abs(self.logits(tokens, *way) - row)[best].max()) for way in ways)

    def greedy(self, prompt: list[int], count: int) -> tuple[list[int], list[NDArray[np.float32]]]:
        """Up to `count` tokens, without an end token, and the logits that each (and the end) was chosen from."""
        rows, tokens = [self.logits(prompt)], []
        while len(tokens) < count and not self._is_end(best := int(rows[-1].argmax())):
            tokens.append(best)
            self._decode([best])
            rows.append(self._row())
        return tokens, rows

    def close(self) -> None:
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    def _decode(self, tokens: list[int], sequence: int = 0) -> None:
        batch = self._batch
        for index, token in enumerate(tokens):
            batch.token[index], batch.n_seq_id[index], batch.seq_id[index][0] = token, 1, sequence
            batch.pos[index] = index if sequence else self._length + index
            batch.logits[index] = index == len(tokens) - 1
        batch.n_tokens = len(tokens)
        assert self._lib.llama_decode(self._context, batch) == 0
        self._length += 0 if sequence else len(tokens)

    def _row(self) -> NDArray[np.float32]:
        return np.ctypeslib.as_array(self._lib.llama_get_logits_ith(self._context, -1), (self._width,)).copy()
