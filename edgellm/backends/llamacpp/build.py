"""What the llama.cpp build of this environment can use; as a program of its own it prints that as JSON."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import msgspec

PACKAGE = "llama-cpp-python"

# What no user can do anything about, or what every build has.
_UNTOLD = frozenset({"LLAMAFILE", "REPACK", "OPENMP", "ACCELERATE", "SSE3", "SSSE3", "BMI2"})
_FLAG = re.compile(r"(\w+) = (\w+)")


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is llama.cpp's own; `simd` are instruction sets as it spells them, `gpus` the devices it can use."""

    version: str
    offload: bool
    """Whether layers can be put on a GPU."""
    rpc: bool = False
    """Whether it can use other computers' memory."""
    simd: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()


def build() -> Build:
    """Loads the library into this process, if it is not there yet."""
    from edgellm.backends.llamacpp import library

    binding = library.load()
    offload = bool(binding.llama_supports_gpu_offload())
    return Build(
        version=binding.llama_version().decode("utf-8", "replace"),
        offload=offload,
        rpc=_has_rpc(library),
        simd=simd(binding.llama_print_system_info().decode("utf-8", "replace")),
        gpus=_devices(binding._lib) if offload else (),
    )


def _has_rpc(library: Any) -> bool:
    from edgellm.errors import Unsupported

    try:
        library.devices().check()
    except Unsupported:
        return False
    return True


def simd(system_info: str) -> tuple[str, ...]:
    """From `CPU : SSE3 = 1 | AVX2 = 1 | ...`; the parts of other devices are passed over."""
    found: list[str] = []
    device = "CPU"
    for part in system_info.split("|"):
        name, separator, flag = part.rpartition(" : ")
        device = name.strip() if separator else device
        known = _FLAG.search(flag)
        if device == "CPU" and known and known[2] != "0" and known[1] not in _UNTOLD:
            found.append(known[1])
    return tuple(found)


def _devices(library: Any) -> tuple[str, ...]:
    """The names of all devices but processors; none where the library does not lend its functions (Windows)."""
    try:
        count, get, kind, text = (
            getattr(library, f"ggml_backend_dev_{name}") for name in ("count", "get", "type", "description")
        )
    except AttributeError:
        return ()
    count.restype, get.argtypes, get.restype = ctypes.c_size_t, [ctypes.c_size_t], ctypes.c_void_p
    kind.argtypes, text.argtypes, text.restype = [ctypes.c_void_p], [ctypes.c_void_p], ctypes.c_char_p
    devices = [get(index) for index in range(count())]
    return tuple(text(device).decode("utf-8", "replace") for device in devices if kind(device) in (1, 2))


if __name__ == "__main__":
    print("\n" + msgspec.json.encode(build()).decode())
