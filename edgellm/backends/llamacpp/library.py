"""The llama.cpp library: loaded once a process, on first use; what it has to say goes to our log only."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from edgellm.backends.llamacpp import expert_override, rpc
from edgellm.backends.llamacpp.log import ERROR, NativeLog
from edgellm.backends.llamacpp.threads import default_threads
from edgellm.config import ModelSettings
from edgellm.errors import Unsupported

NAME = "llama.cpp"
_PACKAGE = "llama_cpp"
PHYSICAL_BATCH = 512
_KV_TYPES = {"f16": "GGML_TYPE_F16", "q8_0": "GGML_TYPE_Q8_0"}
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type
_lock = threading.Lock()


log = NativeLog()


# ctypes callbacks must outlive the library's use of them: the process.
_callbacks: list[Any] = []


@cache
def _loaded() -> Any:
    binding = _import_binding()
    callback = binding.llama_log_callback(lambda level, text, _: log.write(level, text))
    _callbacks.append(callback)
    binding.llama_log_set(callback, None)
    _catch_aborts(binding)
    _choose_processor_code(binding)
    binding.llama_backend_init()
    return binding


def load() -> Any:
    """The binding's module of `llama_*` functions, ready for use. Safe to call from any thread."""
    with _lock:
        return _loaded()


def _import_binding() -> Any:
    """The low-level module alone: the package's own `__init__` takes a second for things we never use."""
    name = f"{_PACKAGE}.{_PACKAGE}"
    if _PACKAGE in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(name)
    finally:
        # Whoever imports the whole package later gets it, with the module loaded here inside.
        del sys.modules[_PACKAGE]


def _catch_aborts(binding: Any) -> None:
    """Have a failed native assertion say so in the log, instead of a backtrace on stderr; the process still ends."""
    try:
        set_callback = binding._lib.ggml_set_abort_callback
    except AttributeError:
        return  # on Windows only the library that defines a function finds it
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
    callback = kind(_aborted)
    _callbacks.append(callback)
    set_callback.argtypes, set_callback.restype = [kind], ctypes.c_void_p
    set_callback(callback)


def _aborted(text: bytes | None) -> None:
    log.write(ERROR, b"native abort: " + (text or b"") + b"\n")
    if b"ggml-rpc" in (text or b""):
        rpc.on_lost(text or b"")


def _choose_processor_code(binding: Any) -> None:
    """In a build for many processors, load the library that is best for this one; others have theirs linked in.

    The library would look for itself otherwise, and in the directory where the user happens to stand, too.
    """
    folder = Path(binding._lib._name).parent
    try:
        ggml = _ggml(binding)
        count, load_from = ggml.ggml_backend_reg_count, ggml.ggml_backend_load_all_from_path
    except (AttributeError, OSError):
        return  # a library that is built in another way
    count.restype = ctypes.c_size_t
    load_from.argtypes, load_from.restype = [ctypes.c_char_p], None
    if count() == 0:
        load_from(os.fsencode(folder))


def _ggml(binding: Any) -> Any:
    """Where `ggml_backend_*` functions are found: on Windows only in the library that defines them."""
    folder = Path(binding._lib._name).parent
    return ctypes.CDLL(str(folder / "ggml.dll")) if sys.platform == "win32" else binding._lib


def devices() -> rpc.Devices:
    """Raises Unsupported where this build does not lend its functions."""
    binding = load()
    try:
        return rpc.Devices(_ggml(binding), Path(binding._lib._name).parent)
    except (AttributeError, OSError):  # a library that is built in another way
        raise Unsupported(rpc.NOT_BUILT) from None


def address_function(name: str) -> Any:
    """The library's function `name` of one context, returning an address as a plain number: cheaper than a pointer."""
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)((name, load()._lib))


def build_id() -> str:
    """What measurements and saved states depend on: package, library version, and what the build can use here."""
    binding = load()
    package = importlib.metadata.version("llama-cpp-python")
    version, system = binding.llama_version().decode(), binding.llama_print_system_info().decode("utf-8", "replace")
    return f"llama-cpp-python {package}; llama.cpp {version}; {' '.join(system.split())}"


def model_params(settings: ModelSettings) -> Any:
    """With `settings.rpc`, ends the process where a server cannot be had; see `rpc`."""
    binding = load()
    params = binding.llama_model_default_params()
    servers = rpc.endpoints(settings.rpc)
    if servers:
        devices().add(servers)
    params.n_gpu_layers = settings.gpu_layers if servers or binding.llama_supports_gpu_offload() else 0
    _choose_devices(params, settings)
    params.load_mode = binding.LLAMA_LOAD_MODE_MMAP if binding.llama_supports_mmap() else binding.LLAMA_LOAD_MODE_NONE
    if settings.cpu_experts and params.n_gpu_layers:
        overrides = expert_override.overrides(binding)
        params.tensor_buft_overrides = ctypes.addressof(overrides)
        params._overrides = overrides  # as long as the structure that points to them
    return params


def _choose_devices(params: Any, settings: ModelSettings) -> None:
    """Servers that another model of this process has are not for one that names none."""
    if rpc.is_used() and not settings.rpc:
        own = devices().own()
        params._devices = (ctypes.c_void_p * (len(own) + 1))(*own, None)
        params.devices = ctypes.addressof(params._devices)
    if settings.layer_split:
        shares = [float(part) for part in settings.layer_split.split(",")]
        params._split = (ctypes.c_float * load().llama_max_devices())(*shares)
        params.tensor_split = params._split


def context_params(settings: ModelSettings, cells: int, rows: int) -> Any:
    binding = load()
    params = binding.llama_context_default_params()
    params.n_ctx = cells
    params.n_batch = settings.batch
    params.n_ubatch = min(settings.batch, PHYSICAL_BATCH)
    params.n_seq_max = settings.slots
    params.n_outputs_max = rows
    params.n_threads = params.n_threads_batch = settings.threads or default_threads()
    params.flash_attn_type = _FLASH_ATTENTION[settings.flash_attention]
    params.type_k = params.type_v = getattr(binding, _KV_TYPES[settings.kv_type])
    params.offload_kqv = params.op_offload = True
    params.kv_unified = True
    # A cache of only the attention window could neither be shared as a prefix nor trimmed.
    params.swa_full = True
    params.no_perf = True
    return params
