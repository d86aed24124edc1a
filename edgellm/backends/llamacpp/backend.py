"""llama.cpp as a `Backend`: GGUF models on the CPU, and on the GPU where the installed build can use one."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Batch, Chunk
from edgellm.backends.llamacpp import library
from edgellm.backends.llamacpp.context import Context, Progress
from edgellm.backends.llamacpp.decode import Decoder, LlamaRows
from edgellm.backends.llamacpp.identity import identity
from edgellm.backends.llamacpp.memory import SlotMemory
from edgellm.backends.llamacpp.native import Native
from edgellm.backends.llamacpp.vocabulary import LlamaVocabulary
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, NotAModel, OutOfMemory
from edgellm.model import ModelInfo


class LlamaCppBackend:
    """One GGUF model, loaded. Make it with `load`."""

    def __init__(self, context: Context, settings: ModelSettings) -> None:
        lib, native = context.library, context.context
        self._context = context
        self.vocabulary = LlamaVocabulary(context)
        self.limits = Limits(lib.llama_n_ctx(native), settings.slots, lib.llama_n_batch(native), context.rows)
        self.capabilities = _capabilities(context)
        self.info = describe(context)
        kind = identity(context.path, context.native.build_id(), settings.kv_type, settings.flash_attention)
        self._memory = SlotMemory(context, settings.slots, kind)
        self._decoder = Decoder(context, self.limits, len(self.vocabulary))

    @classmethod
    def load(
        cls, path: Path, settings: ModelSettings, progress: Progress | None = None, native: Native = library
    ) -> Self:
        """Load and warm up. `progress` hears fractions from 0 to 1 and may raise to stop.

        Raises ModelNotFound, LoadError (NotAModel, UnsupportedModel, OutOfMemory) or Unsupported (settings at odds).
        """
        context = Context(path, settings, progress, native)
        try:
            backend = cls(context, settings)
            backend._warm_up()
        except BaseException:
            context.close()
            raise
        return backend

    def decode(self, batch: Batch) -> LlamaRows:
        assert self._context.context, "the backend is closed"
        lengths = self._memory.lengths
        assert len({chunk.slot for chunk in batch}) == len(batch), batch
        for chunk in batch:
            assert chunk.start == lengths[chunk.slot], (chunk, lengths[chunk.slot])
        rows = self._decoder(batch)
        for chunk in batch:
            lengths[chunk.slot] += len(chunk.tokens)
        return rows

    def copy(self, source: int, target: int, length: int) -> None:
        self._memory.copy(source, target, length)

    def trim(self, slot: int, length: int) -> None:
        self._memory.trim(slot, length)

    def save(self, slot: int) -> bytes:
        return self._memory.save(slot)

    def restore(self, slot: int, state: bytes) -> None:
        self._memory.restore(slot, state)

    def close(self) -> None:
        """No thread may be using the backend or its vocabulary. Idempotent."""
        self.vocabulary.forget()
        self._context.close()

    def _warm_up(self) -> None:
        """Have the first request find memory mapped, threads started and the graph built."""
        token = self.vocabulary.bos or self.vocabulary.eos or 0
        try:
            self.decode([Chunk(0, 0, (token,))])
        except BackendError as error:
            raise _warm_up_error(self._context, error) from error
        self._memory.clear()


def _warm_up_error(context: Context, error: BackendError) -> Exception:
    if "allocated" in str(error):
        return OutOfMemory(f"not enough memory to compute with {context.path}. Set a smaller context or batch.")
    return NotAModel(f"{context.path} was loaded, but {error} Or download the model again.")


def _capabilities(context: Context) -> Capabilities:
    lib, model = context.library, context.model
    # Their state is one running summary, which has no prefix to share or go back to.
    recurrent = lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model)
    return Capabilities(
        copy=not recurrent,
        trim=not recurrent,
        ragged=True,
        shift=False,
        save=True,
    )


def describe(context: Context) -> ModelInfo:
    lib, model = context.library, context.model
    trained, available = lib.llama_model_n_ctx_train(model), lib.llama_n_ctx_seq(context.context)
    ftype = lib.llama_ftype_name(lib.llama_model_ftype(model))
    return ModelInfo(
        name=context.metadata("general.name") or context.path.stem,
        backend=context.native.NAME,
        context_length=min(trained, available) if trained else available,
        size_bytes=lib.llama_model_size(model),
        parameters=lib.llama_model_n_params(model),
        quantization=_quantization(ftype.decode() if ftype else ""),
        architecture=context.facts.architecture,
        created=int(context.path.stat().st_mtime),
    )


def _quantization(name: str) -> str:
    """`(guessed) Q4_K - Medium` as everybody writes it: `Q4_K_M`."""
    head, _, rest = name.removeprefix("(guessed) ").removeprefix("all ").partition(" - ")
    return head + (f"_{rest[0]}" if rest in ("Small", "Medium", "Large") else "")
