"""Keeps a process from growing without bound, so that a hostile template costs an error and not the machine."""

from __future__ import annotations

import sys
from pathlib import Path

from edgellm.telemetry import log

_log = log.get("worker")


def limit_memory(headroom_bytes: int) -> bool:
    """Allow this process its present private memory and `headroom_bytes` more; past that, allocation fails.

    Linux only (RLIMIT_DATA: private writable pages, so a mapped model file does not count); elsewhere, or where the
    system refuses, nothing changes. Says whether the limit is set.
    """
    if sys.platform != "linux":
        _log.debug("no memory limit on this system", system=sys.platform)
        return False
    import resource

    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _private_bytes() + headroom_bytes
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    except (OSError, ValueError) as error:
        _log.debug("no memory limit", reason=str(error))
        return False
    return True


def _private_bytes() -> int:
    """VmData, which is what RLIMIT_DATA is held against."""
    with Path("/proc/self/status").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    raise OSError("no VmData in /proc/self/status")
