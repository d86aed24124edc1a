"""How many threads to compute with where nobody chose; the runtime, which knows the machine, always does."""

from __future__ import annotations

import psutil


def default_threads() -> int:
    """One thread for each physical core."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
