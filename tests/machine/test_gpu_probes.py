"""The probes that call drivers' libraries, against fakes that fill the same C structures."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgellm.machine import cuda_probe, metal_probe, nvidia_smi, vulkan_probe

MIB, GIB = 2**20, 2**30


def fill(pointer: Any, **values: Any) -> int:
    """Write through what `byref` made; 0 is success for every one of these libraries."""
    for name, value in values.items():
        setattr(pointer._obj, name, value)
    return 0


def text(value: bytes) -> Any:
    def write(*arguments: Any) -> int:
        arguments[-2].value = value
        return 0

    return write


def nvml(**others: Any) -> Any:
    functions = {
        "nvmlInit_v2": lambda: 0,
        "nvmlDeviceGetCount_v2": lambda count: fill(count, value=1),
        "nvmlSystemGetDriverVersion": text(b"550.54.14"),
        "nvmlDeviceGetHandleByIndex_v2": lambda index, device: fill(device, value=4096),
        "nvmlDeviceGetMemoryInfo": lambda device, memory: fill(memory, total=24564 * MIB, free=23000 * MIB),
        "nvmlDeviceGetPciInfo_v3": lambda device, pci: fill(pci, device_id=0x268410DE),
        "nvmlDeviceGetName": text(b"NVIDIA GeForce RTX 4090"),
        "nvmlDeviceGetUUID": text(b"GPU-0f3c"),
    }
    return SimpleNamespace(**functions | others)


RTX = {
    "name": "NVIDIA GeForce RTX 4090",
    "uuid": "GPU-0f3c",
    "device": "10de:2684",
    "total": 24564 * MIB,
    "free": 23000 * MIB,
    "unified": False,
    "driver": "550.54.14",
}


def test_nvml() -> None:
    assert cuda_probe.gpus(nvml()) == [RTX]


def test_nvml_on_a_board_with_unified_memory() -> None:
    not_supported = nvml(nvmlDeviceGetMemoryInfo=lambda *_: 3, nvmlDeviceGetPciInfo_v3=lambda *_: 3)
    (found,) = cuda_probe.gpus(not_supported)
    assert (found["total"], found["unified"], found["device"]) == (0, True, "")


@pytest.mark.parametrize("failing", ["nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"])
def test_nvml_that_fails_knows_no_gpu(failing: str) -> None:
    assert cuda_probe.gpus(nvml(**{failing: lambda *_: 999})) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("NVIDIA GeForce RTX 4090, GPU-0f3c, 24564, 23000, 550.54.14, 0x268410DE", [RTX]),
        ("", []),
        ("No devices were found", []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", []),
    ],
)
def test_nvidia_smi(line: str, expected: list[dict[str, Any]]) -> None:
    assert nvidia_smi.gpus(line + "\n") == expected


def test_nvidia_smi_on_a_board_with_unified_memory() -> None:
    (found,) = nvidia_smi.gpus("NVIDIA GB10, GPU-8c1d, [N/A], [N/A], 580.126.09, 0x2E1210DE\n")
    assert (found["total"], found["free"], found["unified"], found["device"]) == (0, 0, True, "10de:2e12")


class FakeVulkan:
    """Two devices: a card with 8 GiB of its own, and llvmpipe."""

    def __init__(self, kind: int = 2, budget: bool = True) -> None:
        self.kind, self.budget = kind, budget

    def vkCreateInstance(self, create: Any, allocator: Any, instance: Any) -> int:  # noqa: N802
        assert create._obj.application.contents.api_version == 1 << 22 | 1 << 12
        return fill(instance, value=1)

    def vkEnumeratePhysicalDevices(self, instance: Any, count: Any, devices: Any) -> int:  # noqa: N802
        if devices is None:
            return fill(count, value=2)
        devices[0], devices[1] = 11, 12
        return 0

    def vkGetPhysicalDeviceProperties2(self, device: Any, properties: Any) -> None:  # noqa: N802
        software = device.value == 12
        kind, name = (4, b"llvmpipe (LLVM 17.0.6, 256 bits)") if software else (self.kind, b"AMD Radeon RX 6600")
        fill(properties, api_version=1 << 22 | 3 << 12, kind=kind, name=name, vendor=0x1002, device=0x73FF)
        if properties._obj.next:
            driver = vulkan_probe._Driver.from_address(properties._obj.next)
            driver.name, driver.info = b"radv", b"Mesa 24.0.9"

    def vkEnumerateDeviceExtensionProperties(self, device: Any, layer: Any, count: Any, buffer: Any) -> int:  # noqa: N802
        names = [b"VK_KHR_swapchain", b"VK_EXT_memory_budget"][: 1 + self.budget]
        if buffer is None:
            return fill(count, value=len(names))
        for index, name in enumerate(names):
            ctypes.memmove(ctypes.addressof(buffer) + 260 * index, name, len(name))
        return 0

    def vkGetPhysicalDeviceMemoryProperties2(self, device: Any, memory: Any) -> None:  # noqa: N802
        fill(memory, heap_count=2)
        own, host = memory._obj.heaps[0], memory._obj.heaps[1]
        own.size, own.flags, host.size = 8 * GIB, 1, 16 * GIB
        if memory._obj.next:
            budget = vulkan_probe._Budget.from_address(memory._obj.next)
            budget.budget[0], budget.usage[0], budget.budget[1] = 7 * GIB, GIB, 15 * GIB


def test_vulkan_leaves_software_out() -> None:
    assert vulkan_probe.gpus(FakeVulkan()) == [
        {
            "name": "AMD Radeon RX 6600",
            "device": "1002:73ff",
            "total": 8 * GIB,
            "free": 6 * GIB,
            "unified": False,
            "driver": "radv Mesa 24.0.9",
        }
    ]


def test_vulkan_without_a_budget_takes_all_as_free() -> None:
    (found,) = vulkan_probe.gpus(FakeVulkan(budget=False))
    assert found["free"] == found["total"] == 8 * GIB


def test_an_integrated_gpu_uses_every_heap() -> None:
    (found,) = vulkan_probe.gpus(FakeVulkan(kind=1))
    assert (found["total"], found["free"], found["unified"]) == (24 * GIB, 21 * GIB, True)


def test_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {b"name": 7, b"UTF8String": b"Apple M3 Pro", b"recommendedMaxWorkingSetSize": 28 * GIB}
    monkeypatch.setattr(metal_probe, "_send", lambda _, receiver, message, kind: answers.get(message, True))
    expected = {"name": "Apple M3 Pro", "total": 28 * GIB, "free": 28 * GIB, "unified": True}
    assert metal_probe.gpu(None, 1) == expected


@pytest.mark.parametrize("probe", [cuda_probe, vulkan_probe, metal_probe])
def test_a_probe_is_a_program_that_needs_nothing_and_fails_quietly(probe: Any) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", str(Path(probe.__file__))], capture_output=True, text=True)
    if done.returncode == 0:  # there is such a GPU here
        assert isinstance(json.loads(done.stdout.splitlines()[-1]), list)
    else:
        assert done.stdout == ""
