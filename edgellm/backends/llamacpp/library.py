"""The llama.cpp library: loaded once a process, on first use; what it has to say goes to our log only."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import threading
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = "llama_cpp"
_DEBUG, _INFO, _WARN, _ERROR, _CONTINUED = 1, 2, 3, 4, 5
_lock = threading.Lock()


class NativeLog:
    """The last lines the library wrote, for error messages; every line also goes to our logger."""

    def __init__(self, keep: int = 400) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=keep)
        self._count = 0
        self._partial = ""
        self._level = _INFO

    def write(self, level: int, text: bytes | None) -> None:
        """One call of the library's log callback; a line may come in several pieces."""
        if level != _CONTINUED:
            self._level = level
        self._partial += (text or b"").decode("utf-8", "replace")
        *lines, self._partial = self._partial.split("\n")
        for line in lines:
            self._add(line.rstrip())

    def mark(self) -> int:
        """A position for `since`."""
        return self._count

    def since(self, mark: int, *, problems: bool = False) -> list[str]:
        """Lines written after `mark`, as far as they are still kept; only warnings and errors if `problems`."""
        new = min(self._count - mark, len(self._lines))
        lines = list(self._lines)[len(self._lines) - new :]
        return [text for level, text in lines if not problems or level in (_WARN, _ERROR)]

    def _add(self, line: str) -> None:
        if not line.strip(". "):
            return
        self._lines.append((self._level, line))
        self._count += 1
        # Its warnings are for its own developers; its errors reach the user as exceptions that quote them.
        level = {_WARN: "info", _ERROR: "warning"}.get(self._level, "debug")
        _logger().log(level, "native", line=line)


log = NativeLog()


@cache
def _logger() -> Any:
    from edgellm.telemetry import log as telemetry

    return telemetry.get("llamacpp")


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
    callback = kind(lambda text: log.write(_ERROR, b"native abort: " + (text or b"") + b"\n"))
    _callbacks.append(callback)
    set_callback.argtypes, set_callback.restype = [kind], ctypes.c_void_p
    set_callback(callback)


def _choose_processor_code(binding: Any) -> None:
    """In a build for many processors, load the library that is best for this one; others have theirs linked in.

    The library would look for itself otherwise, and in the directory where the user happens to stand, too.
    """
    folder = Path(binding._lib._name).parent
    try:
        ggml = ctypes.CDLL(str(folder / "ggml.dll")) if sys.platform == "win32" else binding._lib
        count, load_from = ggml.ggml_backend_reg_count, ggml.ggml_backend_load_all_from_path
    except (AttributeError, OSError):
        return  # a library that is built in another way
    count.restype = ctypes.c_size_t
    load_from.argtypes, load_from.restype = [ctypes.c_char_p], None
    if count() == 0:
        load_from(os.fsencode(folder))


def address_function(name: str) -> Any:
    """The library's function `name` of one context, returning an address as a plain number: cheaper than a pointer."""
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)((name, load()._lib))


def build_id() -> str:
    """What measurements and saved states depend on: package, library version, and what the build can use here."""
    binding = load()
    package = importlib.metadata.version("llama-cpp-python")
    version, system = binding.llama_version().decode(), binding.llama_print_system_info().decode("utf-8", "replace")
    return f"llama-cpp-python {package}; llama.cpp {version}; {' '.join(system.split())}"
