"""How many cores this computer has, which of them are fast, and how many this process may use."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path
from types import MappingProxyType

import msgspec
import psutil

from edgellm.machine import control_group, files

_ROOT = Path("/")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_CPUS = "sys/devices/system/cpu"
_PROCESSOR_CORE = 0  # RelationProcessorCore


class Cores(msgspec.Struct, frozen=True):
    """Counts of cores; `usable` are the physical cores left by affinity and CPU quota, fast ones if any of them is."""

    physical: int
    performance: int
    logical: int
    usable: int


def cores(root: Path = _ROOT, sysctl: Mapping[str, str] = _NOTHING) -> Cores:
    """`sysctl` holds what macOS told (`sysctl.values`)."""
    match platform.system():
        case "Linux":
            return linux(root)
        case "Darwin":
            return mac(sysctl)
        case "Windows":
            return windows(_windows_cores())
        case _:
            return windows(())


def linux(root: Path = _ROOT, allowed: Iterable[int] | None = None) -> Cores:
    """From sysfs below `root`; `allowed` are the logical CPUs of our affinity, which is asked if not given."""
    siblings = _siblings(root)
    if not siblings:  # no sysfs: some containers
        return windows(())
    fast = _fast(root, siblings)
    mine = {siblings[cpu] for cpu in (_affinity() if allowed is None else allowed) if cpu in siblings}
    usable = len(mine & fast) or len(mine) or len(fast)
    quota = control_group.cpu_quota(root)
    physical = len(set(siblings.values()))
    return Cores(physical, len(fast), len(siblings), min(usable, quota) if quota else usable)


def mac(sysctl: Mapping[str, str]) -> Cores:
    """Where macOS told nothing, psutil counts, and all cores count as fast."""
    plain = windows(())
    physical = files.whole(sysctl.get("hw.physicalcpu", "")) or plain.physical
    performance = files.whole(sysctl.get("hw.perflevel0.physicalcpu", "")) or physical
    logical = files.whole(sysctl.get("hw.logicalcpu", "")) or plain.logical
    return Cores(physical, min(performance, physical), logical, min(performance, physical))


def windows(classes: Iterable[int]) -> Cores:
    """From the efficiency class of each core, the fast ones having the highest; where there are none, psutil counts."""
    known = list(classes)
    logical = psutil.cpu_count() or 1
    physical = len(known) or psutil.cpu_count(logical=False) or logical
    performance = known.count(max(known)) if known else physical
    allowed = len(_affinity()) or logical
    return Cores(physical, performance, logical, min(performance, max(1, ceil(allowed * physical / logical))))


def efficiency_classes(content: bytes) -> list[int]:
    """One number a core, from the records of `GetLogicalProcessorInformationEx`; stops where they are malformed."""
    found, at = [], 0
    while at + 10 <= len(content):
        relationship, size = struct.unpack_from("<II", content, at)
        if size < 10:
            break
        if relationship == _PROCESSOR_CORE:
            found.append(content[at + 9])
        at += size
    return found


def _windows_cores() -> list[int]:
    if sys.platform == "win32":
        import ctypes

        ask = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx
        size = ctypes.c_uint32(0)
        ask(_PROCESSOR_CORE, None, ctypes.byref(size))  # fails, and tells the size
        buffer = ctypes.create_string_buffer(size.value)
        return efficiency_classes(buffer.raw) if ask(_PROCESSOR_CORE, buffer, ctypes.byref(size)) else []
    return []


def _siblings(root: Path) -> dict[int, str]:
    """By logical CPU, what it has in common with the other hardware threads of its core; CPUs that are off left out."""
    online = set(files.listed(files.text(root / _CPUS / "online")))
    found = {}
    for folder in (root / _CPUS).glob("cpu[0-9]*"):
        cpu = files.whole(folder.name.removeprefix("cpu"))
        if cpu is not None and (not online or cpu in online):
            topology = folder / "topology"
            same = files.text(topology / "core_cpus_list") or files.text(topology / "thread_siblings_list")
            found[cpu] = same or str(cpu)
    return found


def _fast(root: Path, siblings: Mapping[int, str]) -> set[str]:
    """The fast cores: as Intel's hybrids list them, or with more than half of the capacity of the best (Arm)."""
    listed = set(files.listed(files.text(root / "sys/devices/cpu_core/cpus")))
    capacity = {cpu: files.whole(root / _CPUS / f"cpu{cpu}" / "cpu_capacity") or 0 for cpu in siblings}
    best = max(capacity.values())
    fast = {core for cpu, core in siblings.items() if cpu in listed}
    return fast or {core for cpu, core in siblings.items() if 2 * capacity[cpu] > best or not best}


def _affinity() -> list[int]:
    """The logical CPUs this process may run on; empty where the system has no such thing."""
    ask = getattr(psutil.Process(), "cpu_affinity", None)
    return list(ask()) if ask else []
