"""A program of its own: prints as JSON the GPUs that NVIDIA's management library knows; exit code 1 without it."""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_LIBRARIES = (
    ("nvml.dll",)
    if sys.platform == "win32"
    else ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1")
)


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_uint64), ("free", ctypes.c_uint64), ("used", ctypes.c_uint64))


class _Pci(ctypes.Structure):
    """nvmlPciInfo_t; `device_id` is the device's number above the vendor's."""

    _fields_ = (
        ("legacy_bus_id", ctypes.c_char * 16),
        ("domain", ctypes.c_uint32),
        ("bus", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("device_id", ctypes.c_uint32),
        ("subsystem", ctypes.c_uint32),
        ("bus_id", ctypes.c_char * 32),
    )


def gpus(nvml: Any) -> list[dict[str, Any]]:
    """Memory is 0 where the GPU has none of its own, as on unified-memory boards."""
    count = ctypes.c_uint32()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return []
    driver = _text(nvml.nvmlSystemGetDriverVersion)
    return [gpu | {"driver": driver} for gpu in (_gpu(nvml, index) for index in range(count.value)) if gpu]


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    device = ctypes.c_void_p()
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)):
        return {}
    memory, pci = _Memory(), _Pci()
    if nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)):
        memory = _Memory()
    if nvml.nvmlDeviceGetPciInfo_v3(device, ctypes.byref(pci)):
        pci = _Pci()
    return {
        "name": _text(nvml.nvmlDeviceGetName, device),
        "uuid": _text(nvml.nvmlDeviceGetUUID, device),
        "device": f"{pci.device_id & 0xFFFF:04x}:{pci.device_id >> 16:04x}" if pci.device_id else "",
        "total": memory.total,
        "free": memory.free,
        "unified": not memory.total,
    }


def _text(function: Any, *device: Any) -> str:
    buffer = ctypes.create_string_buffer(96)
    return "" if function(*device, buffer, len(buffer)) else buffer.value.decode("utf-8", "replace")


def _library() -> Any:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    sys.exit(1)


if __name__ == "__main__":
    print("\n" + json.dumps(gpus(_library())))
