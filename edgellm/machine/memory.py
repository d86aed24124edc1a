"""How much memory this computer has, what is free of it, and what limits let this process take."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import msgspec
import psutil

from edgellm.machine import control_group
from edgellm.machine.control_group import MemoryLimit

_JOB_EXTENDED_LIMITS, _PROCESS_MEMORY, _JOB_MEMORY = 9, 0x100, 0x200


class Memory(msgspec.Struct, frozen=True):
    """Bytes. `limit` is the tightest limit and `left` the least that a limit leaves; None where nothing limits."""

    total: int
    available: int
    limit: int | None = None
    left: int | None = None


def memory(root: Path = Path("/")) -> Memory:
    """As it is now. Limits as large as the computer's memory limit nothing."""
    whole = psutil.virtual_memory()
    limits = [*_group_limits(root), *_address_space(), *_job_limits()]
    binding = [each for each in limits if each.limit < whole.total]
    return Memory(
        total=whole.total,
        available=whole.available,
        limit=min((each.limit for each in binding), default=None),
        left=min((each.left for each in binding), default=None),
    )


def _group_limits(root: Path) -> list[MemoryLimit]:
    return control_group.memory_limits(root) if sys.platform == "linux" else []


def _address_space() -> list[MemoryLimit]:
    """`ulimit -v`, which counts mapped files too; a worker process inherits it."""
    if sys.platform == "win32":
        return []
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit < 0:
        return []
    return [MemoryLimit(limit, max(0, limit - psutil.Process().memory_info().vms))]


def _job_limits() -> list[MemoryLimit]:
    """What a Windows job object allows a process and all of its processes together."""
    limits = _JobLimits()
    if sys.platform == "win32":
        query = ctypes.WinDLL("kernel32").QueryInformationJobObject
        query.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
        query(None, _JOB_EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits), None)  # no job: all stays 0
    # A job does not tell what its other processes hold; ours alone is subtracted.
    used = getattr(psutil.Process().memory_info(), "private", 0)
    known = ((_PROCESS_MEMORY, limits.process_memory), (_JOB_MEMORY, limits.job_memory))
    return [MemoryLimit(size, max(0, size - used)) for flag, size in known if limits.flags & flag and size]


class _JobLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )
