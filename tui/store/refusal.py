"""What can go wrong with the database, as errors for people; native errors of SQLite never leave the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgellm.errors import EdgeLLMError


class StoreError(EdgeLLMError):
    """Conversations cannot be read or kept."""

    code = "store_error"


class Damaged(StoreError):
    """The file is no sound database; opening it again sets it aside."""

    code = "store_damaged"


class Gone(StoreError):
    """A conversation or message that no longer exists."""

    code = "store_gone"


class Closed(StoreError):
    """The store was closed while something was still to be read or kept."""

    code = "store_closed"


@contextmanager
def of_sqlite(place: Path) -> Iterator[None]:
    """Raise what SQLite raises about the database at `place` as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, place) from error


def explain(error: sqlite3.Error, place: Path) -> StoreError:
    """The error that tells what happened and what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if is_damage(error):
        return Damaged(
            f"{place} is damaged ({error}). Start edgellm again: it sets the file aside and saves its content."
        )
    if name.startswith("SQLITE_FULL"):
        return StoreError(f"The disk that holds {place} is full: the last change was not kept. Make room, then go on.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"Another program holds {place}: the last change was not kept. Close it, then try again.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StoreError(f"Cannot write {place}: {error}. Make the file and its folder writable.")
    return StoreError(f"Conversations cannot be kept in {place}: {error}. Check the disk.")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, rather than busy, full or out of reach."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
