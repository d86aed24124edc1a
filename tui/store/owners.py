"""Tells the living from the dead: each app holds a lock file, so that answers of one that was killed are known."""

from __future__ import annotations

import uuid
from pathlib import Path
from sqlite3 import Connection

from filelock import FileLock, Timeout

INTERRUPTED = "interrupted"


class Owner:
    """This process's name in the database, with the lock that dies with the process."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = _path(folder, self.name)
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire(timeout=1)

    def release(self) -> None:
        self._lock.release()
        self._path.unlink(missing_ok=True)


def settle_interrupted(connection: Connection, folder: Path) -> int:
    """Mark the answers that dead processes were writing as stopped, keeping their words; how many there were."""
    found = connection.execute("SELECT DISTINCT owner FROM entries WHERE state = 'streaming'").fetchall()
    dead = [row["owner"] for row in found if not _alive(folder, row["owner"])]
    return sum(
        connection.execute(
            "UPDATE entries SET state = 'stopped', reason = ? WHERE state = 'streaming' AND owner = ?",
            (INTERRUPTED, owner),
        ).rowcount
        for owner in dead
    )


def sweep(folder: Path) -> None:
    """Remove the lock files of the dead."""
    for path in folder.glob("*.lock"):
        _alive(folder, path.stem)


def _alive(folder: Path, name: str) -> bool:
    """Whether its lock is held; the file of a dead owner is removed."""
    path = _path(folder, name)
    if not name or not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    path.unlink(missing_ok=True)
    return False


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"
