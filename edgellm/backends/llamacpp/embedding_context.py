"""A decoding context that gives embeddings: of encoders, and of decoders, whose tokens are pooled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgellm.backends.llamacpp.context import Context
from edgellm.backends.llamacpp.file_check import Facts
from edgellm.config import ModelSettings
from edgellm.errors import Unsupported

LONGEST = 8192
"""Tokens an input may have where nobody asked for more; memory grows with them."""

SEQUENCES = 64
_NONE, _MEAN, _RANK = 0, 1, 4  # llama_pooling_type
_LAST = 3
_POOLINGS = {"mean": _MEAN, "cls": 2, "last": _LAST, "rank": _RANK}
WORDS = {number: word for word, number in _POOLINGS.items()}


class EmbeddingContext(Context):
    """`longest` tokens fit into one input; `step` of them are computed at once, of several inputs if they fit.

    `pooling` is "mean", "cls", "last" or "rank". Only where that is `stepwise` may an input be longer than `step`.
    """

    longest: int
    step: int
    pooling: str
    stepwise: bool
    sequences: int

    def _check_kind(self) -> None:
        lib, model = self.library, self.model
        if lib.llama_model_has_encoder(model) and lib.llama_model_has_decoder(model):
            raise self._unsupported("it has an encoder and a decoder, which together make no embeddings")

    def _make_context(self, settings: ModelSettings) -> Any:
        lib, model = self.library, self.model
        number = pooling_type(self.path, self.facts, settings.pooling)
        self.pooling = WORDS[number]
        running = lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model)
        self.stepwise = number in (_LAST, _RANK) and self._is_causal()
        self.longest = _longest(lib.llama_model_n_ctx_train(model), settings)
        batch = max(settings.batch, 2)
        step = min(self.longest, batch) if self.stepwise else max(self.longest, batch)
        self.sequences = 1 if running else min(SEQUENCES, step)
        self.step = -(-step // self.sequences) * self.sequences  # the library aborts where it is no multiple
        params = self.native.context_params(settings, max(self.longest, self.step), self.step)
        params.n_batch = params.n_ubatch = params.n_outputs_max = self.step
        params.n_seq_max = self.sequences
        params.embeddings = True
        params.pooling_type = number
        mark = self.native.log.mark()
        context = lib.llama_init_from_model(model, params)
        if not context:
            raise self._context_error(settings, self.longest, self.native.log.since(mark, problems=True))
        return context

    def _is_causal(self) -> bool:
        """Whether it reads from left to right and remembers, as far as its file tells."""
        lib, causal = self.library, self.facts.values.get(f"{self.facts.architecture}.attention.causal", True)
        return bool(causal) and lib.llama_model_has_decoder(self.model) and not lib.llama_model_has_encoder(self.model)

    def _check_decodes(self) -> None:
        """Any context that gives embeddings will do; what may be done in steps is seen only now."""
        remembers = bool(self.memory) and self.library.llama_get_causal_attn(self.context)
        if self.stepwise and not remembers:
            self.stepwise = False
            self.longest = min(self.longest, self.step)


def _longest(trained: int, settings: ModelSettings) -> int:
    """Never more than the model was trained for: native code aborts where it has no such position."""
    wanted = settings.context or LONGEST
    return min(trained, wanted) if trained else wanted


def pooling_type(path: Path, facts: Facts, wanted: str) -> int:
    """The library's number of the pooling `wanted`; "auto" is the file's own.

    Where the file names none, a model with a head for scores ranks (so do older files of rerankers), and others take
    the mean. Raises Unsupported for scores of a model without the tensors that make them.
    """
    stated = facts.values.get(f"{facts.architecture}.pooling_type")
    usual = _RANK if facts.heads else _MEAN
    number = _POOLINGS.get(wanted, stated if stated in WORDS else usual)
    if number == _RANK and not facts.heads:
        raise Unsupported(f"{path} has no tensors that score documents. Set pooling to auto, mean, cls or last.")
    return int(number)
