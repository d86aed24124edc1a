"""Memory of a process and its children, shared pages counted in parts (PSS), where the system tells."""

from __future__ import annotations

import contextlib
import threading

import psutil

_EVERY_S = 0.2


def pss(pid: int) -> int | None:
    """Bytes, of the process `pid` and all below it; None where this system knows no PSS (only Linux does)."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                part = getattr(process.memory_full_info(), "pss", None)
                if part is None:
                    return None
                total += part
    return total or None


class PeakWatch:
    """Looks at a process tree's memory every now and then, as a context manager; `peak` is the most it saw, in bytes.

    Looking costs time, so nothing is timed meanwhile.
    """

    def __init__(self, pid: int) -> None:
        self.peak: int | None = None
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        if (now := pss(self._pid)) is not None:
            self.peak = max(now, self.peak or 0)
