"""What happens to a damaged database: the file is kept aside, and all that can still be read goes into a new one."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import Connection

TABLES = ("chats", "entries", "attachments", "drafts", "history", "presets", "preferences", "cuts")
_SUFFIXES = ("", "-wal", "-shm")
_FOUND_AGAIN = "Messages found in a damaged file"


def set_aside(place: Path) -> Path:
    """Rename the database at `place`, with what belongs to it; where it is now."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = next(
        path
        for number in range(1000)
        if not (path := place.with_name(f"{place.stem}.damaged-{stamp}{f'-{number}' if number else ''}.db")).exists()
    )
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{place}{suffix}").rename(f"{aside}{suffix}")
    return aside


def save(aside: Path, connection: Connection) -> str:
    """Copy what can be read of `aside` into the empty database of `connection`; a sentence for the user."""
    found = _copy_all(aside, connection)
    if not found:
        return f"The file of conversations was damaged and nothing in it could be read. It is kept as {aside}."
    return (
        f"The file of conversations was damaged. {found} of its conversations could be read and are here; "
        f"some of their messages may be missing. The damaged file is kept as {aside}."
    )


def _copy_all(aside: Path, connection: Connection) -> int:
    """How many conversations there are now. Reading is done from a copy: SQLite writes where it reads."""
    copy = aside.with_suffix(".reading")
    try:
        for suffix in _SUFFIXES[:2]:
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{aside}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as damaged:
            damaged.row_factory = sqlite3.Row
            damaged.text_factory = lambda data: data.decode("utf-8", "replace")
            return _transfer(damaged, connection)
    finally:
        for suffix in _SUFFIXES:
            Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _transfer(damaged: Connection, connection: Connection) -> int:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA defer_foreign_keys = ON")
    for table in TABLES:
        for row in _rows(damaged, table):
            _insert(connection, table, row)
    _mend(connection)
    connection.commit()
    count: int = connection.execute("SELECT count(*) FROM chats").fetchone()[0]
    return count


def _rows(damaged: Connection, table: str) -> Iterator[sqlite3.Row]:
    """Readable rows: up to the damage from the front, then from the back (some come twice)."""
    for order in ("", " ORDER BY rowid DESC"):
        try:
            yield from damaged.execute(f"SELECT * FROM {table}{order}")
        except sqlite3.Error:
            continue
        return


def _insert(connection: Connection, table: str, row: sqlite3.Row) -> None:
    known = {each["name"] for each in connection.execute(f"PRAGMA table_info({table})")}
    names = [name for name in row.keys() if name in known]  # noqa: SIM118 a Row is no dict
    marks = ", ".join("?" * len(names))
    with suppress(sqlite3.Error):  # a row with impossible values: the others still count
        connection.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", [row[name] for name in names]
        )


def _mend(connection: Connection) -> None:
    """Make the tree whole: without its parent a message becomes a first one, without its conversation it gets one."""
    connection.execute("UPDATE entries SET indexed = 0")
    lost = connection.execute("SELECT DISTINCT chat FROM entries WHERE chat NOT IN (SELECT id FROM chats)").fetchall()
    for row in lost:
        connection.execute(
            "INSERT INTO chats (id, title, created, updated) SELECT ?, ?, min(created), max(updated) FROM entries"
            " WHERE chat = ?",
            (row["chat"], _FOUND_AGAIN, row["chat"]),
        )
    alive = "(SELECT id FROM entries)"
    connection.execute(f"UPDATE entries SET parent = NULL WHERE parent NOT IN {alive} OR parent >= id")
    connection.execute(f"UPDATE entries SET left_at = NULL WHERE left_at NOT IN {alive}")
    connection.execute(f"DELETE FROM attachments WHERE entry NOT IN {alive}")
    connection.execute(f"DELETE FROM cuts WHERE first NOT IN {alive}")
    connection.execute("DELETE FROM drafts WHERE chat IS NOT NULL AND chat NOT IN (SELECT id FROM chats)")
    connection.execute(
        "UPDATE chats SET leaf = (SELECT max(id) FROM entries WHERE chat = chats.id)"
        f" WHERE leaf IS NULL OR leaf NOT IN {alive}"
    )
