"""Opens the SQLite file of conversations, whatever state it is in, and runs operations on it as transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from tui.store import chats, migrations, owners, refusal, salvage
from tui.store.owners import Owner
from tui.store.refusal import Damaged, StoreError

T = TypeVar("T")

NAME = "chats.db"
BUSY_S = 5.0
CHECKED_BYTES = 64 * 2**20  # a check reads the whole file: a larger one is only checked as it is used
PURGED_AFTER_S = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Opened:
    """A database ready for use; `notes` tell the user what was found amiss."""

    connection: Connection
    place: Path
    person: Owner
    notes: tuple[str, ...]

    @property
    def owner(self) -> str:
        return self.person.name

    def close(self) -> None:
        self.connection.close()
        self.person.release()


def open_database(folder: Path) -> Opened:
    """The database of `folder`, made, updated or saved from damage as needed. Raises StoreError."""
    place = folder / NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        person = Owner(folder / "owners")
    except OSError as error:
        raise StoreError(f"Cannot write in {folder}: {error.strerror or error}. Make it writable.") from error
    try:
        connection, notes = _ready_or_saved(place)
        with refusal.of_sqlite(place):
            _tidy(connection, folder / "owners")
    except BaseException:
        person.release()
        raise
    return Opened(connection, place, person, notes)


def connect(place: Path) -> Connection:
    """A connection with our settings; each transaction is begun by hand."""
    connection = sqlite3.connect(place, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def transact(connection: Connection, write: bool, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What `operation(connection, ...)` returns; its changes are kept wholly, or not at all when it raises."""
    with refusal.of_sqlite(_place(connection)):
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            result = operation(connection, *args, **kwargs)
        except BaseException:
            connection.rollback()
            raise
        _commit(connection)
        return result


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except sqlite3.Error:
        connection.rollback()
        raise


def _ready_or_saved(place: Path) -> tuple[Connection, tuple[str, ...]]:
    try:
        return _ready(place)
    except Damaged:
        aside = salvage.set_aside(place)
        connection, _ = _ready(place)
        return connection, (salvage.save(aside, connection),)


def _ready(place: Path) -> tuple[Connection, tuple[str, ...]]:
    with refusal.of_sqlite(place):
        connection = connect(place)
        try:
            _check(connection, place)
            notes = migrations.migrate(connection, place)
            _check_tables(connection)
        except BaseException:
            connection.close()
            raise
    place.chmod(0o600)
    return connection, notes


def _check(connection: Connection, place: Path) -> None:
    """Raises Damaged if the file is, as far as looking does not take long."""
    if place.stat().st_size > CHECKED_BYTES:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Damaged(f"{place} is damaged: {found}.")


def _check_tables(connection: Connection) -> None:
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := set(salvage.TABLES) - found:
        raise Damaged(f"The file of conversations is damaged: it lacks {', '.join(sorted(missing))}.")


def _tidy(connection: Connection, folder: Path) -> None:
    transact(connection, True, owners.settle_interrupted, folder)
    transact(connection, True, chats.purge, time.time() - PURGED_AFTER_S)
    owners.sweep(folder)


def _place(connection: Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])
