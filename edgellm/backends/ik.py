"""ik_llama.cpp, a fork with faster kernels for processors: its older interface under stock llama.cpp's names.

Only this file knows what differs; everything else of the backend is `edgellm.backends.llamacpp`. The package's own
module has the structures; of the functions it binds only some, so all that are needed are bound here. Declared in the
`llama.h` that the package brings.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.backends.llamacpp.context import Progress
from edgellm.backends.llamacpp.library import PHYSICAL_BATCH
from edgellm.backends.llamacpp.log import NativeLog
from edgellm.backends.llamacpp.threads import default_threads
from edgellm.config import ModelSettings
from edgellm.errors import Unsupported

NAME = "ik_llama.cpp"
PACKAGE = "ik-llama-cpp-python"
VERSION = "0.1.5"
"""The only version whose structures are known to be these."""

WRONG = frozenset({"Q4_1"})
"""Number formats that this version computes wrongly: from 32 tokens at once on, seen with rows of 576."""

_MODULE = "ik_llama_cpp"
_ADDRESS, _TEXT, _BOOL, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool, ctypes.c_size_t
_INT, _UINT, _LONG = ctypes.c_int32, ctypes.c_uint32, ctypes.c_uint64
_INTS, _BYTES = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_uint8)
_F16 = 1  # ggml_type

_FUNCTIONS: dict[str, tuple[str, list[Any] | None, Any]] = {
    "llama_decode": ("llama_decode", None, _INT),
    "llama_free": ("llama_free", [_ADDRESS], None),
    "llama_model_free": ("llama_free_model", [_ADDRESS], None),
    "llama_model_get_vocab": ("llama_model_get_vocab", [_ADDRESS], _ADDRESS),
    "llama_model_n_ctx_train": ("llama_n_ctx_train", [_ADDRESS], _INT),
    "llama_model_is_recurrent": ("llama_model_is_recurrent", [_ADDRESS], _BOOL),
    "llama_model_is_hybrid": ("llama_model_is_hybrid", [_ADDRESS], _BOOL),
    "llama_model_has_encoder": ("llama_model_has_encoder", [_ADDRESS], _BOOL),
    "llama_model_has_decoder": ("llama_model_has_decoder", [_ADDRESS], _BOOL),
    "llama_model_size": ("llama_model_size", [_ADDRESS], _LONG),
    "llama_model_n_params": ("llama_model_n_params", [_ADDRESS], _LONG),
    "llama_model_chat_template": ("llama_model_chat_template", [_ADDRESS, _TEXT], _TEXT),
    "llama_model_desc": ("llama_model_desc", [_ADDRESS, _TEXT, _SIZE], _INT),
    "llama_n_ctx": ("llama_n_ctx", [_ADDRESS], _UINT),
    "llama_n_ctx_seq": ("llama_n_ctx", [_ADDRESS], _UINT),
    "llama_n_batch": ("llama_n_batch", [_ADDRESS], _UINT),
    "llama_vocab_n_tokens": ("llama_vocab_n_tokens", [_ADDRESS], _INT),
    "llama_vocab_bos": ("llama_vocab_bos", [_ADDRESS], _INT),
    "llama_vocab_eos": ("llama_vocab_eos", [_ADDRESS], _INT),
    "llama_vocab_is_eog": ("llama_vocab_is_eog", [_ADDRESS, _INT], _BOOL),
    "llama_tokenize": ("llama_vocab_tokenize", [_ADDRESS, _TEXT, _INT, _INTS, _INT, _BOOL, _BOOL], _INT),
    "llama_token_to_piece": ("llama_token_to_piece_vocab", [_ADDRESS, _INT, _TEXT, _INT, _INT, _BOOL], _INT),
    "llama_memory_seq_rm": ("llama_kv_cache_seq_rm", [_ADDRESS, _INT, _INT, _INT], _BOOL),
    "llama_memory_seq_cp": ("llama_kv_cache_seq_cp", [_ADDRESS, _INT, _INT, _INT, _INT], None),
    "llama_memory_seq_pos_max": ("llama_kv_cache_seq_pos_max", [_ADDRESS, _INT], _INT),
    "llama_state_seq_get_size_ext": ("llama_state_seq_get_size", [_ADDRESS, _INT, _UINT], _SIZE),
    "llama_state_seq_get_data_ext": ("llama_state_seq_get_data", [_ADDRESS, _BYTES, _SIZE, _INT, _UINT], _SIZE),
    "llama_state_seq_set_data_ext": ("llama_state_seq_set_data", [_ADDRESS, _BYTES, _SIZE, _INT, _UINT], _SIZE),
    "llama_print_system_info": ("llama_print_system_info", [], _TEXT),
    "llama_supports_gpu_offload": ("llama_supports_gpu_offload", [], _BOOL),
    "llama_backend_init": ("llama_backend_init", [], None),
}
"""By stock name: the fork's name, arguments (None: a context and a batch) and result."""

_INFILL = {
    "llama_vocab_fim_pre": (b"<|fim_prefix|>", b"<fim-prefix>", b"<fim_prefix>", b"<|fim_begin|>"),
    "llama_vocab_fim_suf": (b"<|fim_suffix|>", b"<fim-suffix>", b"<fim_suffix>", b"<|fim_hole|>"),
    "llama_vocab_fim_mid": (b"<|fim_middle|>", b"<fim-middle>", b"<fim_middle>", b"<|fim_end|>"),
    "llama_vocab_fim_rep": (b"<|fim_repo|>", b"<|repo_name|>", b"<fim-repo>", b"<reponame>"),
    "llama_vocab_fim_sep": (b"<|file_sep|>",),
}
"""How tokens for filling in are spelled; the fork asks the model for them, where a vocabulary is all there is here."""

log = NativeLog()
_lock = threading.Lock()
_callbacks: list[Any] = []  # ctypes callbacks must outlive the library's use of them: the process


def backend(path: Path, settings: ModelSettings, progress: Progress | None = None) -> LlamaCppBackend:
    """As `LlamaCppBackend.load`, on this library."""
    return LlamaCppBackend.load(path, settings, progress, native=sys.modules[__name__])


def installed() -> str:
    """The version of the package; empty where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""


def load() -> Any:
    """Raises ModuleNotFoundError where the package is not installed."""
    with _lock:
        return _loaded()


def build_id() -> str:
    system = load().llama_print_system_info().decode("utf-8", "replace")
    return f"{PACKAGE} {installed()}; {' '.join(system.split())}"


def address_function(name: str) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)((name, load()._lib))


def model_params(settings: ModelSettings) -> Any:
    binding = load()
    params = binding.llama_model_default_params()
    params.n_gpu_layers = 0
    # Its fast kernels read weights in an order of their own, so they are read into memory instead of mapped.
    params.repack_tensors, params.use_mmap = True, False
    return params


def context_params(settings: ModelSettings, cells: int, rows: int) -> Any:
    """Raises Unsupported for a quantized KV cache, which needs the flash attention that aborts here."""
    if settings.kv_type != "f16" or settings.flash_attention == "on":
        raise Unsupported(f"{NAME} computes with an f16 KV cache and without flash attention here; use llama.cpp")
    params = load().llama_context_default_params()
    params.n_ctx = cells
    params.n_batch = settings.batch
    params.n_ubatch = min(settings.batch, PHYSICAL_BATCH)
    params.n_seq_max = settings.slots
    params.n_threads = params.n_threads_batch = settings.threads or default_threads()
    params.flash_attn = False  # it asserts on batches of several sequences
    params.type_k = params.type_v = _F16
    return params


@cache
def _loaded() -> Any:
    api = _import_binding()
    native = api._lib
    binding = SimpleNamespace(
        _lib=native,
        llama_batch=api.llama_batch,
        llama_progress_callback=api.llama_progress_callback,
        llama_model_default_params=api.llama_model_default_params,
        llama_context_default_params=api.llama_context_default_params,
        llama_model_load_from_file=api.llama_model_load_from_file,
        llama_init_from_model=api.llama_init_from_model,
        llama_get_memory=lambda context: context,  # it has no object for that: the context answers itself
        llama_get_causal_attn=lambda context: True,
        llama_model_is_diffusion=lambda model: False,
        llama_model_ftype=lambda model: model,
    )
    for name, (theirs, arguments, result) in _FUNCTIONS.items():
        function = native[theirs]  # a new object each time, so that the package's own declarations stay as they are
        function.argtypes = [_ADDRESS, api.llama_batch] if arguments is None else arguments
        function.restype = result
        setattr(binding, name, function)
    clear = native["llama_kv_cache_clear"]
    clear.argtypes, clear.restype = [_ADDRESS], None
    binding.llama_memory_clear = lambda memory, data: clear(memory)
    binding.llama_ftype_name = lambda model: _described(binding.llama_model_desc, model)
    _close_gaps(binding)
    for name, spellings in _INFILL.items():
        setattr(binding, name, partial(_spelled, binding.llama_tokenize, spellings))
    _listen(native)
    binding.llama_backend_init()
    return binding


def _import_binding() -> Any:
    """The low-level module alone: the package's own `__init__` brings a whole interface that is not used."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_MODULE!r}", name=_MODULE)
    sys.modules.setdefault(_MODULE, importlib.util.module_from_spec(spec))
    return importlib.import_module(f"{_MODULE}._ctypes_api")


class _View(ctypes.Structure):
    """`llama_kv_cache_view`: every cell, and the first sequence it belongs to, below 0 for none."""

    _fields_ = (
        ("cells", _INT), ("depth", _INT), ("tokens", _INT), ("used", _INT), ("together", _INT), ("index", _INT),
        ("positions", _ADDRESS), ("sequences", _INTS),
    )  # fmt: skip

    @property
    def gaps(self) -> int:
        """Free cells among the first ones, as many as are used."""
        return int((np.ctypeslib.as_array(self.sequences, (self.cells,))[: self.used] < 0).sum())


def _close_gaps(binding: Any) -> None:
    """Keep the cells in use together: 0.1.5 computes wrongly once a token is put into a gap between others, and looks
    for one gap that a whole state fits in.
    """
    gaps: set[int] = set()
    remove, restore, decode = binding.llama_memory_seq_rm, binding.llama_state_seq_set_data_ext, binding.llama_decode
    compact = _compact(binding._lib)

    def close(context: int) -> None:
        if context in gaps:
            gaps.discard(context)
            compact(context)

    def removed(context: int, slot: int, start: int, end: int) -> bool:
        gaps.add(context)
        return bool(remove(context, slot, start, end))

    def restored(context: int, *state: Any) -> int:
        close(context)
        gaps.add(context)
        return int(restore(context, *state))

    def decoded(context: int, batch: Any) -> int:
        close(context)
        return int(decode(context, batch))

    binding.llama_memory_seq_rm, binding.llama_state_seq_set_data_ext = removed, restored
    binding.llama_decode = decoded


def _compact(native: Any) -> Callable[[int], None]:
    """Moves all cells of a context to its beginning.

    The library moves some hundred pieces at once at most, and sequences that were decoded together lie in pieces of a
    cell each.
    """
    defragment, apply = native["llama_kv_cache_defrag"], native["llama_kv_cache_update"]
    look, update, free = (native[f"llama_kv_cache_view_{name}"] for name in ("init", "update", "free"))
    for function in (defragment, apply):
        function.argtypes = [_ADDRESS]
    look.argtypes, look.restype = [_ADDRESS, _INT], _View
    update.argtypes, update.restype = [_ADDRESS, ctypes.POINTER(_View)], None
    free.argtypes, free.restype = [ctypes.POINTER(_View)], None

    def compact(context: int) -> None:
        view = look(context, 1)
        try:
            update(context, view)
            before, left = view.cells, view.gaps
            while 0 < left < before:
                defragment(context)
                apply(context)
                update(context, view)
                before, left = left, view.gaps
        finally:
            free(view)

    return compact


def _described(describe: Callable[[Any, Any, int], int], model: Any) -> bytes:
    """Of `qwen2 1.5B Q4_K - Medium` the quantization."""
    room = ctypes.create_string_buffer(256)
    describe(model, room, len(room))
    return room.value.split(b" ", 2)[-1]


def _spelled(tokenize: Callable[..., int], spellings: tuple[bytes, ...], vocabulary: Any) -> int:
    """The first spelling that is one token; -1 if none is."""
    room = (ctypes.c_int32 * 8)()
    for text in spellings:
        if tokenize(vocabulary, text, len(text), room, len(room), False, True) == 1:
            return int(room[0])
    return -1


def _listen(native: Any) -> None:
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    callback = kind(lambda level, text, _: log.write(level, text))
    _callbacks.append(callback)
    listen = native["llama_log_set"]
    listen.argtypes, listen.restype = [kind, _ADDRESS], None
    listen(callback, None)
