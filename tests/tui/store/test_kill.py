"""Kills the app at random moments: afterwards all that was promised is there, but for the last moment of an answer."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from sqlite3 import Connection

import pytest

from tui.store import chats, database, drafts, entries

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def promises_until_killed(folder: Path, seed: int) -> list[list[str]]:
    """What the app printed before it was killed, somewhere within its first second and a half of work."""
    command = [sys.executable, "-m", "tests.doubles.killed_chat", str(folder), str(seed)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    lines = [child.stdout.readline()]
    assert lines == ["ready\n"]
    time.sleep(random.Random(seed).random() * 1.5)
    os.kill(child.pid, signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    return [line.split(maxsplit=2) for line in lines if line.endswith("\n")]


def check(connection: Connection, promises: list[list[str]]) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not connection.execute("PRAGMA foreign_key_check").fetchall()
    assert not connection.execute("SELECT * FROM entries WHERE state = 'streaming'").fetchall()
    lengths: dict[int, int] = {}
    for promise in promises:
        match promise:
            case ["sent", chat, text]:
                assert text.strip() in [entry.text for entry in entries.tree(connection, int(chat))]
            case ["saved", entry, length]:
                lengths[int(entry)] = int(length)
            case ["deleted", chat]:
                assert chats.get(connection, int(chat)).deleted is not None
    for entry, length in lengths.items():
        row = connection.execute("SELECT text FROM entries WHERE id = ?", (entry,)).fetchone()
        assert row is None or len(row["text"]) >= length  # an answer without words may have been removed by a retry
        assert row is not None or length == 0
    check_last(connection, promises)


def check_last(connection: Connection, promises: list[list[str]]) -> None:
    """The last thing typed is a draft, or was sent."""
    typed = [promise for promise in promises if promise[0] in ("draft", "sent")]
    if typed and typed[-1][0] == "draft":
        _, chat, text = typed[-1]
        words = text.strip()
        everything = [row["text"] for row in connection.execute("SELECT text FROM entries")]
        kept = drafts.read(connection, int(chat) or None)
        assert kept == words or words.removeprefix("draft of ") in everything


def kill_and_check(folder: Path, times: int) -> None:
    for seed in range(times):
        promises = promises_until_killed(folder, seed)
        opened = database.open_database(folder)
        assert opened.notes == ()
        check(opened.connection, promises)
        opened.close()
    opened = database.open_database(folder)
    assert chats.listing(opened.connection)
    opened.close()


def test_nothing_is_lost_when_the_app_is_killed(tmp_path: Path) -> None:
    kill_and_check(tmp_path, 5)


@pytest.mark.slow
def test_nothing_is_lost_in_thirty_kills(tmp_path: Path) -> None:
    kill_and_check(tmp_path, 30)
