"""A program of its own: prints as JSON the GPUs that Vulkan's loader finds; exit code 1 without a loader."""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from typing import Any

_LIBRARY = "vulkan-1.dll" if sys.platform == "win32" else "libvulkan.so.1"
_VERSION_1_1 = 1 << 22 | 1 << 12
_VERSION_1_2 = 1 << 22 | 2 << 12
_INTEGRATED, _PROCESSOR = 1, 4  # VkPhysicalDeviceType
_DEVICE_LOCAL = 1
# VkStructureType
_APPLICATION, _INSTANCE = 0, 1
_PROPERTIES_2, _MEMORY_PROPERTIES_2 = 1000059001, 1000059006
_DRIVER_PROPERTIES, _MEMORY_BUDGET = 1000196000, 1000237000


class _Application(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("version", ctypes.c_uint32),
        ("engine_name", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api_version", ctypes.c_uint32),
    )


class _Instance(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.POINTER(_Application)),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


class _Heap(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint64), ("flags", ctypes.c_uint32))


class _MemoryProperties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("type_count", ctypes.c_uint32),
        ("types", ctypes.c_uint32 * 64),
        ("heap_count", ctypes.c_uint32),
        ("heaps", _Heap * 16),
    )


class _Budget(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("budget", ctypes.c_uint64 * 16),
        ("usage", ctypes.c_uint64 * 16),
    )


class _Properties(ctypes.Structure):
    """VkPhysicalDeviceProperties2, of which only the head is read; the room behind it holds the limits."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("api_version", ctypes.c_uint32),
        ("driver_version", ctypes.c_uint32),
        ("vendor", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("name", ctypes.c_char * 256),
        ("room", ctypes.c_uint64 * 512),
    )


class _Driver(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("id", ctypes.c_uint32),
        ("name", ctypes.c_char * 256),
        ("info", ctypes.c_char * 256),
        ("conformance", ctypes.c_uint8 * 4),
    )


def gpus(vulkan: Any) -> list[dict[str, Any]]:
    """All devices but those that are the processor itself in disguise."""
    application = _Application(type=_APPLICATION, api_version=_VERSION_1_1)
    create = _Instance(type=_INSTANCE, application=ctypes.pointer(application))
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if vulkan.vkCreateInstance(ctypes.byref(create), None, ctypes.byref(instance)):
        return []
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    devices = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), devices)
    found = (_gpu(vulkan, ctypes.c_void_p(device)) for device in devices[: count.value])
    return [gpu for gpu in found if gpu]


def _gpu(vulkan: Any, device: ctypes.c_void_p) -> dict[str, Any]:
    driver = _Driver(type=_DRIVER_PROPERTIES)
    properties = _Properties(type=_PROPERTIES_2)
    vulkan.vkGetPhysicalDeviceProperties2(device, ctypes.byref(properties))
    if properties.kind == _PROCESSOR:
        return {}
    if properties.api_version >= _VERSION_1_2:
        properties.next = ctypes.addressof(driver)
        vulkan.vkGetPhysicalDeviceProperties2(device, ctypes.byref(properties))
    integrated = properties.kind == _INTEGRATED
    total, free = _memory(vulkan, device, integrated)
    return {
        "name": properties.name.decode("utf-8", "replace"),
        "device": f"{properties.vendor:04x}:{properties.device:04x}",
        "total": total,
        "free": free,
        "unified": integrated,
        "driver": f"{driver.name.decode('utf-8', 'replace')} {driver.info.decode('utf-8', 'replace')}".strip(),
    }


def _memory(vulkan: Any, device: ctypes.c_void_p, integrated: bool) -> tuple[int, int]:
    """Bytes in all and free, of the GPU's own heaps; an integrated one may use every heap."""
    budget = _Budget(type=_MEMORY_BUDGET)
    memory = _MemoryProperties(type=_MEMORY_PROPERTIES_2)
    told = _has_budget(vulkan, device)
    if told:
        memory.next = ctypes.addressof(budget)
    vulkan.vkGetPhysicalDeviceMemoryProperties2(device, ctypes.byref(memory))
    total = free = 0
    for index in range(min(memory.heap_count, 16)):
        heap = memory.heaps[index]
        if integrated or heap.flags & _DEVICE_LOCAL:
            total += heap.size
            free += max(0, budget.budget[index] - budget.usage[index]) if told else heap.size
    return total, free


def _has_budget(vulkan: Any, device: ctypes.c_void_p) -> bool:
    """Whether the driver tells what other programs hold (VK_EXT_memory_budget)."""
    count = ctypes.c_uint32()
    vulkan.vkEnumerateDeviceExtensionProperties(device, None, ctypes.byref(count), None)
    buffer = ctypes.create_string_buffer(260 * count.value)
    vulkan.vkEnumerateDeviceExtensionProperties(device, None, ctypes.byref(count), buffer)
    names = (name.partition(b"\0")[0] for name, _ in struct.iter_unpack("256sI", buffer.raw))
    return b"VK_EXT_memory_budget" in names


def _library() -> Any:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        sys.exit(1)


if __name__ == "__main__":
    print("\n" + json.dumps(gpus(_library())))
