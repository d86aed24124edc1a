"""Brings a database to the version this program knows, one numbered step after another, a backup file first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tui.store import schema
from tui.store.refusal import StoreError

KEPT_BACKUPS = 3


def migrate(
    connection: sqlite3.Connection, place: Path, steps: Sequence[Sequence[str]] = schema.STEPS
) -> tuple[str, ...]:
    """Take the missing steps, all or none. Returns sentences on what was done, none for a new or current database.

    Raises StoreError for a database of a newer program, which is left as it is.
    """
    before = version(connection)
    _refuse_newer(before, len(steps), place)
    if before == len(steps):
        return ()
    kept = back_up(connection, place, before) if before else None
    connection.execute("BEGIN IMMEDIATE")
    try:
        _take(connection, steps, place)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return () if kept is None else (f"The conversations were updated to a new format; a copy as they were is {kept}.",)


def version(connection: sqlite3.Connection) -> int:
    """The last step taken; 0 for an empty database."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def back_up(connection: sqlite3.Connection, place: Path, before: int) -> Path:
    """A sound copy beside `place`; only the newest few are kept."""
    kept = place.with_name(f"{place.stem}.version-{before}.backup.db")
    unfinished = kept.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as copy:
        connection.backup(copy)
    unfinished.replace(kept)
    backups = sorted(place.parent.glob(f"{place.stem}.version-*.backup.db"), key=lambda path: path.stat().st_mtime)
    for old in backups[:-KEPT_BACKUPS]:
        old.unlink(missing_ok=True)
    return kept


def _take(connection: sqlite3.Connection, steps: Sequence[Sequence[str]], place: Path) -> None:
    now = version(connection)  # once more, under the lock: another process may have been quicker
    _refuse_newer(now, len(steps), place)
    for number, statements in enumerate(steps[now:], now + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")


def _refuse_newer(found: int, known: int, place: Path) -> None:
    if found > known:
        raise StoreError(
            f"{place} was written by a newer edgellm (format {found}; this one knows {known}). "
            "Update edgellm, or set EDGELLM_HOME to another place."
        )
