"""A model file and its decoding context: loaded with our settings, freed once; failures become our errors."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgellm.backends.llamacpp import file_check, kv_size, library
from edgellm.backends.llamacpp.native import Native
from edgellm.config import ModelSettings
from edgellm.errors import LoadError, NotAModel, OutOfMemory, Unsupported, UnsupportedModel

Progress = Callable[[float], None]

_DEFAULT_CONTEXT = 8192
_LEAST_ROWS = 64

_NO_MEMORY = re.compile(
    r"bad_alloc|(?:unable|failed|cannot|could not)(?: to)? (?:allocate|mmap|reserve)|(?:out of|insufficient) memory",
    re.I,
)
_UNKNOWN = re.compile(
    r"unknown (?:model )?architecture|unknown (?:pre-)?tokenizer|invalid ggml type|only supports up to version"
    r"|cannot be used as main model|requires ctx_other",
    re.I,
)

_PREFIXES = re.compile(r"^(?:\w+: |error loading model: |error loading model \w+: )+")


class Context:
    """`model`, `context`, `memory` and `vocabulary` are the library's pointers, valid until `close`.

    `rows` is how many rows of logits one decode may ask for.
    """

    def __init__(
        self, path: Path, settings: ModelSettings, progress: Progress | None = None, native: Native = library
    ) -> None:
        """Raises ModelNotFound, NotAModel, UnsupportedModel, OutOfMemory, LoadError or Unsupported."""
        if settings.kv_type == "q8_0" and settings.flash_attention == "off":
            raise Unsupported("kv_type q8_0 needs flash attention. Set flash_attention to auto, or kv_type to f16.")
        self.path = path
        self.facts = file_check.check(path)
        self.rows = max(settings.parallel, settings.slots, _LEAST_ROWS)
        self.native = native
        self.library = native.load()
        self.model: Any = None
        self.context: Any = None
        try:
            self.model = self._load_model(settings, progress)
            self._check_kind()
            self.context = self._make_context(settings)
            self._check_decodes()
        except BaseException:
            self.close()
            raise
        self.vocabulary = self.library.llama_model_get_vocab(self.model)

    @property
    def memory(self) -> Any:
        return self.library.llama_get_memory(self.context)

    def close(self) -> None:
        """Free context and model. Idempotent."""
        if self.context:
            self.library.llama_free(self.context)
            self.context = None
        if self.model:
            self.library.llama_model_free(self.model)
            self.model = None

    def metadata(self, key: str) -> str:
        """A scalar of the file's header as text; empty where there is none."""
        return str(self.facts.values.get(key, ""))

    def _load_model(self, settings: ModelSettings, progress: Progress | None) -> Any:
        lib = self.library
        params = self.native.model_params(settings)
        watch = _Watch(progress)
        params.progress_callback = lib.llama_progress_callback(watch)
        mark = self.native.log.mark()
        model = lib.llama_model_load_from_file(os.fsencode(self.path), params)
        if watch.error is not None:
            if model:
                lib.llama_model_free(model)
            raise watch.error
        if not model:
            raise _load_error(self.path, self.native.log.since(mark, problems=True))
        return model

    def _check_kind(self) -> None:
        lib, model = self.library, self.model
        if lib.llama_model_has_encoder(model) or not lib.llama_model_has_decoder(model):
            raise self._unsupported("it has an encoder; only decoder models generate text here")
        if lib.llama_model_is_diffusion(model):
            raise self._unsupported("it is a diffusion model, which does not write one token after another")

    def _make_context(self, settings: ModelSettings) -> Any:
        lib = self.library
        cells = settings.context or min(lib.llama_model_n_ctx_train(self.model), _DEFAULT_CONTEXT)
        params = self.native.context_params(settings, cells, self.rows)
        self._check_room(settings, params.n_ctx)
        mark = self.native.log.mark()
        context = lib.llama_init_from_model(self.model, params)
        if not context:
            raise self._context_error(settings, params.n_ctx, self.native.log.since(mark, problems=True))
        return context

    def _check_room(self, settings: ModelSettings, cells: int) -> None:
        if settings.rpc:
            return  # other computers hold some of it
        needed, have = kv_size.kv_bytes(self.facts, cells, settings.kv_type), kv_size.machine_bytes()
        if needed > have:
            raise self._no_room(cells, f"its KV cache takes {needed >> 20:,} MiB and this machine has {have >> 20:,}")

    def _context_error(self, settings: ModelSettings, cells: int, lines: list[str]) -> LoadError:
        if any("cache type" in line for line in lines):
            return self._unsupported(f"its heads do not fit kv_type {settings.kv_type}; set kv_type to f16")
        if _matches(_NO_MEMORY, lines):
            return self._no_room(cells, _reason(lines))
        return self._unsupported(_reason(lines))

    def _no_room(self, cells: int, reason: str) -> OutOfMemory:
        return OutOfMemory(
            f"not enough memory for {self.path} with a context of {cells:,} tokens: {reason}. "
            "Set a smaller context, set kv_type to q8_0, or choose a smaller model."
        )

    def _check_decodes(self) -> None:
        if not self.memory or not self.library.llama_get_causal_attn(self.context):
            raise self._unsupported("it makes embeddings and does not generate text")

    def _unsupported(self, reason: str) -> UnsupportedModel:
        return UnsupportedModel(f"{self.path} cannot be run: {reason}. Choose another model.")


class _Watch:
    """The library's progress callback; an exception in `progress` stops the load and is raised after it."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.error: BaseException | None = None

    def __call__(self, fraction: float, _: ctypes.c_void_p | None) -> bool:
        try:
            if self.progress is not None:
                self.progress(min(1.0, max(0.0, fraction)))
        except BaseException as error:  # must not unwind through native frames
            self.error = error
        return self.error is None


def _load_error(path: Path, lines: list[str]) -> LoadError:
    reason = _reason(lines)
    if _matches(_NO_MEMORY, lines):
        return OutOfMemory(
            f"not enough memory to load {path}: {reason}. Close other programs, or choose a smaller model."
        )
    if _matches(_UNKNOWN, lines):
        return UnsupportedModel(f"{path} cannot be run: {reason}. Update edgellm, or choose another model.")
    return NotAModel(f"{path} cannot be loaded: {reason}. Download it again.")


def _matches(pattern: re.Pattern[str], lines: list[str]) -> bool:
    return any(pattern.search(line) for line in lines)


def _reason(lines: list[str]) -> str:
    """The first thing the library complained about, without its own function names."""
    problems = [line for line in lines if "error" in line or "fail" in line] or lines or ["no reason given"]
    return _PREFIXES.sub("", problems[0]).rstrip(". ")
