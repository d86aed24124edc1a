"""Tests of `tui.store.migrations`: from each old version, with a backup, all or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tui.store import chats, database, drafts, entries, migrations, presets, schema
from tui.store.refusal import StoreError


def old(place: Path, version: int) -> None:
    """A database as the program of that version left it, with something in each table it had."""
    with closing(database.connect(place)) as connection:
        migrations.migrate(connection, place, schema.STEPS[:version])
        connection.execute("INSERT INTO chats (id, title, created, updated) VALUES (1, 'Kept', 1.0, 2.0)")
        connection.execute(
            "INSERT INTO entries (id, chat, speaker, text, created, updated) VALUES (5,1,'user','hi',1,1)"
        )
        connection.execute("UPDATE chats SET leaf = 5")
        if version >= 2:
            connection.execute("INSERT INTO drafts VALUES (1, 'unsent', 3.0)")


@pytest.mark.parametrize("version", range(1, schema.VERSION + 1))
def test_every_old_version_becomes_the_present_one(version: int, tmp_path: Path) -> None:
    old(tmp_path / database.NAME, version)
    opened = database.open_database(tmp_path)
    connection = opened.connection
    assert migrations.version(connection) == schema.VERSION
    assert chats.listing(connection)[0].title == "Kept"
    assert [each.text for each in entries.path(connection, 1)] == ["hi"]
    assert drafts.read(connection, 1) == ("unsent" if version >= 2 else "")
    assert presets.listing(connection) == ()
    backups = list(tmp_path.glob("*.backup.db"))
    assert len(backups) == (version < schema.VERSION) == len(opened.notes)
    opened.close()
    for backup in backups:
        with closing(sqlite3.connect(backup)) as copy:
            assert migrations.version(copy) == version
            assert copy.execute("SELECT text FROM entries").fetchall() == [("hi",)]


def test_a_step_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    place = tmp_path / database.NAME
    old(place, 1)
    steps = (schema.STEPS[0], ("CREATE TABLE fine (a)", "CREATE TABLE chats (a)"))
    with closing(database.connect(place)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrations.migrate(connection, place, steps)
        assert migrations.version(connection) == 1
        assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'fine'").fetchall()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / database.NAME
    old(place, schema.VERSION)
    with closing(database.connect(place)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"format 99.*Update edgellm"):
        database.open_database(tmp_path)
    with closing(database.connect(place)) as connection:
        assert migrations.version(connection) == 99
        assert connection.execute("SELECT text FROM entries").fetchone()[0] == "hi"


def test_only_the_newest_backups_are_kept(tmp_path: Path) -> None:
    place = tmp_path / database.NAME
    old(place, 1)
    with closing(database.connect(place)) as connection:
        for version in range(1, 7):
            migrations.back_up(connection, place, version)
    assert len(list(tmp_path.glob("*.backup.db"))) == migrations.KEPT_BACKUPS
