"""The GPUs of this computer and their memory, as the drivers' own libraries and tools tell."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgellm.machine import amd_sysfs, nvidia_smi
from edgellm.machine.command import Command, script
from edgellm.machine.measurements import Key, Measurements

Kind = Literal["cuda", "metal", "rocm", "vulkan", "rpc"]
"""How it is reached; rpc is a device of another computer, which no probe finds: settings name it."""

FIRST_PATIENCE_S = 5.0
"""How long a driver may take that was never heard before: one that sleeps needs seconds to wake."""
_HERE = Path(__file__).parent
_NVIDIA = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg", "dev/nvmap")


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU and the best way to reach it; memory in bytes, what a process may use of it (Metal: the working set)."""

    name: str
    kind: Kind
    total: int
    free: int
    unified: bool = False
    """Its memory is the computer's own: what is used here is missing there."""
    driver: str = ""
    device: str = ""
    """Vendor and device number on the PCI bus, `10de:2684`; empty where there are none."""
    also: tuple[Kind, ...] = ()
    """Other ways to reach it."""


class Memory(msgspec.Struct, frozen=True):
    """The computer's memory in bytes, which unified GPUs share."""

    total: int
    available: int


class _Found(msgspec.Struct):
    """What a probe prints of one GPU."""

    name: str
    total: int
    free: int
    unified: bool = False
    driver: str = ""
    device: str = ""
    uuid: str = ""


class _Remembered(msgspec.Struct):
    """What a probe found last time, for when its driver is slow to wake."""

    gpus: list[_Found]


class Search:
    """Probes for all kinds of GPU that this system may have, under way at once; each in a process of its own."""

    def __init__(self, kept: Measurements, root: Path = Path("/"), system: str = "") -> None:
        self._kept = kept
        self._root = root
        self._commands = {kind: script(_HERE / f"{kind}_probe.py") for kind in _kinds(root, system)}

    def found(self, deadline: float, memory: Memory, sysctl: Mapping[str, str]) -> tuple[Gpu, ...]:
        """Each GPU once, the fastest way first; waits to `deadline`, longer only for a driver never heard before."""
        lists: list[tuple[Kind, list[_Found]]] = [(kind, self._answer(kind, deadline)) for kind in self._commands]
        if "metal" in self._commands and not lists[0][1]:
            lists[0] = ("metal", _apple(memory.total, sysctl))
        lists.append(("rocm", _decoded(amd_sysfs.gpus(self._root))))
        ordered = sorted(lists, key=lambda each: ("cuda", "metal", "rocm", "vulkan").index(each[0]))
        return _merged(((kind, found) for kind, gpus in ordered for found in gpus), memory)

    def _answer(self, kind: Kind, deadline: float) -> list[_Found]:
        remembered = self._kept.read("gpus", _key(kind), _Remembered)
        limit = deadline if remembered else max(deadline, time.monotonic() + FIRST_PATIENCE_S)
        printed = self._commands[kind].output(limit)
        if printed is None and kind == "cuda" and time.monotonic() < limit:
            printed = _from_tool(limit)
        if printed is None:
            late = time.monotonic() >= limit
            found = remembered.gpus if remembered and late else []
        else:
            found = _read(printed)
        if found or not remembered:
            self._kept.write("gpus", _key(kind), _Remembered(found))
        return _visible(found) if kind == "cuda" else found


def _kinds(root: Path, system: str) -> list[Kind]:
    """Only probes whose drivers seem to be there: each costs the start of a process."""
    match system or platform.system():
        case "Darwin":
            return ["metal"]
        case "Linux":
            nvidia = any((root / path).exists() for path in _NVIDIA)
            render = nvidia or any((root / "dev/dri").glob("renderD*"))
            present: list[tuple[Kind, bool]] = [("cuda", nvidia), ("vulkan", render)]
            return [kind for kind, here in present if here]
        case "Windows":
            libraries = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
            drivers: list[tuple[Kind, str]] = [("cuda", "nvml.dll"), ("vulkan", "vulkan-1.dll")]
            return [kind for kind, library in drivers if (libraries / library).exists()]
        case _:
            return []


def _key(kind: Kind) -> Key:
    return Key("", kind, 0, platform.node())


def _from_tool(deadline: float) -> str | None:
    if shutil.which(nvidia_smi.WORDS[0]) is None:
        return None
    printed = Command(*nvidia_smi.WORDS).output(deadline)
    return None if printed is None else msgspec.json.encode(nvidia_smi.gpus(printed)).decode()


def _read(printed: str) -> list[_Found]:
    """From the last line: a driver may have printed something of its own before."""
    lines = printed.strip().splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else "", type=list[_Found])
    except (msgspec.MsgspecError, UnicodeError):
        return []


def _decoded(gpus: list[dict[str, Any]]) -> list[_Found]:
    return msgspec.convert(gpus, list[_Found])


def _visible(found: list[_Found]) -> list[_Found]:
    """Those that CUDA_VISIBLE_DEVICES leaves, which counts like CUDA: what follows a wrong entry is hidden too."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return found
    left = []
    for entry in wanted.split(","):
        name = entry.strip()
        by_index = name.isdigit() and int(name) < len(found)
        matching = [found[int(name)]] if by_index else [gpu for gpu in found if name and gpu.uuid.startswith(name)]
        if not matching:
            break
        left += matching[:1]
    return left


def _apple(total: int, sysctl: Mapping[str, str]) -> list[_Found]:
    """Without Metal's own answer: the limit that was set, or what macOS allows at least by default."""
    name = sysctl.get("machdep.cpu.brand_string", "")
    if not name.startswith("Apple"):
        return []
    chosen = sysctl.get("iogpu.wired_limit_mb", "")
    limit = int(chosen) * 2**20 if chosen.isdigit() and int(chosen) else total * 2 // 3
    return [_Found(name=name, total=limit, free=limit, unified=True)]


def _merged(found: Iterable[tuple[Kind, _Found]], memory: Memory) -> tuple[Gpu, ...]:
    """One GPU found in two ways is one GPU: the later ways go to `also`, matched by PCI numbers in order."""
    merged: list[Gpu] = []
    for kind, each in found:
        same = _same(merged, kind, each.device)
        if same is None:
            merged.append(_gpu(kind, each, memory))
            continue
        first = merged[same]
        name = each.name if first.name.endswith(first.device) else first.name
        unified = first.unified or each.unified
        merged[same] = msgspec.structs.replace(first, name=name, unified=unified, also=(*first.also, kind))
    return tuple(merged)


def _same(merged: list[Gpu], kind: Kind, device: str) -> int | None:
    for index, gpu in enumerate(merged):
        if device and gpu.device == device and kind != gpu.kind and kind not in gpu.also:
            return index
    return None


def _gpu(kind: Kind, found: _Found, memory: Memory) -> Gpu:
    total = found.total or memory.total
    free = found.free if found.total else memory.available
    if found.unified:
        total, free = min(total, memory.total), min(free, memory.available)
    return Gpu(
        name=found.name or "unknown",
        kind=kind,
        total=total,
        free=min(free, total),
        unified=found.unified,
        driver=found.driver,
        device=found.device,
    )
