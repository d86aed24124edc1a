"""How many threads to compute with: physical performance cores this process may use."""

from __future__ import annotations

import platform
import subprocess
from math import ceil
from pathlib import Path

import psutil


def default_threads() -> int:
    """One thread for each physical performance core within our affinity and CPU quota; at least 1."""
    known = [_physical_cores(), _performance_cores(), _affinity(), _quota()]
    return max(1, min(count for count in known if count))


def _physical_cores() -> int:
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def _affinity() -> int | None:
    ask = getattr(psutil.Process(), "cpu_affinity", None)  # macOS has no such thing
    return len(ask()) if ask else None


def _performance_cores() -> int | None:
    """Where there are fast and slow cores: the fast ones, because each step waits for its slowest thread."""
    system = platform.system()
    if system == "Darwin":
        return _whole(_output("sysctl", "-n", "hw.perflevel0.physicalcpu"))
    if system == "Linux":
        fast = _read("/sys/devices/cpu_core/cpus")
        return len({_siblings(cpu) for cpu in _listed(fast)}) or None
    return None


def _siblings(cpu: int) -> str:
    """What the hardware threads of one core have in common."""
    topology = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    return _read(topology) or str(cpu)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """A container's limit in whole cores, rounded up (control groups version 2, then 1)."""
    quota, _, period = _read(root / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    limit, every = _whole(quota), _whole(period)
    return ceil(limit / every) if limit and every else None


def _listed(text: str) -> list[int]:
    """Linux's list notation: `0-3,8` is 0, 1, 2, 3 and 8."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = _whole(first), _whole(last or first)
        found += range(low, high + 1) if low is not None and high is not None else ()
    return found


def _whole(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
