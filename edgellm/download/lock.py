"""One writer at a time, among threads and processes alike: whoever comes later waits, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgellm.download import space
from edgellm.download.report import WAITING

LOOK_S = 0.2


@contextmanager
def holding(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock at `path`, which is made; the same thread must leave the block that entered it.

    `say` hears why this waits, again and again; what it raises ends the wait. Raises DownloadError without a lock.
    """
    import filelock

    with space.writing(path.parent, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        while not lock.is_locked:
            with suppress(filelock.Timeout):
                lock.acquire(timeout=LOOK_S)
            if not lock.is_locked:
                say(f"{WAITING} the same file")
    try:
        yield
    finally:
        lock.release()
