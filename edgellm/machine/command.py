"""External programs that tell about this computer: started side by side, none waited for past its time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_WINDOWLESS = 0x08000000  # CREATE_NO_WINDOW, which only Windows defines


class Command:
    """One program, running from now on; what it says on standard error is nobody's concern."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self._process = _started(words)

    def output(self, deadline: float) -> str | None:
        """What it printed; None if it is missing, failed or not done by `deadline` (`time.monotonic()`).

        One that is not done is killed. Never raises, also for output that is no text.
        """
        if self._process is None:
            return None
        try:
            printed, _ = self._process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        except (OSError, ValueError):
            return None
        return printed.decode("utf-8", "replace") if self._process.returncode == 0 else None

    def kill(self) -> None:
        """End it; one that a driver holds in the kernel is left to end by itself."""
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(0.05)
        if self._process.stdout is not None:
            self._process.stdout.close()


def script(path: Path, *arguments: str) -> Command:
    """A probe in Python that may crash or hang in a driver's library: a file that needs the standard library alone."""
    return Command(sys.executable, "-I", "-S", str(path), *arguments)


def _started(words: Sequence[str]) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=_WINDOWLESS if sys.platform == "win32" else 0,
        )
    except (OSError, ValueError):
        return None
