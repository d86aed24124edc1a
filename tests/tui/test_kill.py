"""Kills the app at a terminal while somebody types, reads, deletes, waits for a model: only the last moment may go."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from sqlite3 import Connection

import pytest

from tui.store import chats, database, entries

if sys.platform == "win32":
    pytest.skip("there is neither SIGKILL nor a pty", allow_module_level=True)

import fcntl
import pty
import struct
import termios

ROOT = Path(__file__).parents[2]
KILLS = 30
LOST_S = 2.0
"""What may be lost of a running answer or an unsent message: the second it is saved in, and the time that takes."""


class Terminal:
    """The app at a terminal of its own; `typed` is what was typed, sent or not, with the time of its last key."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        environ = {**os.environ, "TERM": "xterm-256color", "EDGELLM_HOME": str(folder)}
        command = [sys.executable, "-m", "tests.doubles.killed_app", str(folder)]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environ)
        os.close(slave)
        self.seen = b""
        self.typed: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                return

    def wait_for(self, words: bytes, limit_s: float = 60.0) -> None:
        end = time.monotonic() + limit_s
        while words not in self.seen:
            assert time.monotonic() < end, (words, self.seen[-2000:])
            assert self.process.poll() is None, self.seen[-2000:]
            time.sleep(0.02)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def type(self, text: str, chance: random.Random) -> None:
        for letter in text:
            self.press(letter)
            time.sleep(chance.random() * 0.03)
        self.typed.append((time.time(), text))

    def kill(self) -> float:
        now = time.time()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        return now


def live(terminal: Terminal, seed: int, chance: random.Random, stop: threading.Event) -> None:
    """Somebody at the keys, until they are gone."""
    number, sent = 0, True
    try:
        while not stop.is_set():
            match chance.randrange(6):
                case 0:
                    terminal.press("\x0e")  # ^N
                case 1:
                    terminal.press("\x1b[19~")  # F8: undo
                case 2 if sent:
                    terminal.press("\x1b")
                    stop.wait(0.2)
                    terminal.press("/delete\r")
                case _:
                    terminal.type(f"q{seed}-{number} and some words", chance)
                    sent = chance.random() < 0.8
                    if sent:
                        terminal.press("\r")
                    number += 1
            stop.wait(chance.random() * 0.8)
    except OSError:  # killed
        return


def check(connection: Connection, folder: Path, typed: list[tuple[float, str]], kills: list[float]) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not connection.execute("PRAGMA foreign_key_check").fetchall()
    assert not connection.execute("SELECT * FROM entries WHERE state = 'streaming'").fetchall()
    questions = [row["text"] for row in connection.execute("SELECT text FROM entries WHERE speaker = 'user'")]
    kept = "\n".join([*questions, *(row["text"] for row in connection.execute("SELECT text FROM drafts"))])
    for when, text in typed:
        assert not is_safe(when, kills) or text in kept, (text, kept)
    check_answers(connection, folder, kills)


def is_safe(when: float, kills: list[float]) -> bool:
    """Whether it was long enough before the next kill."""
    return next((kill for kill in kills if kill >= when), when) - when >= LOST_S


def check_answers(connection: Connection, folder: Path, kills: list[float]) -> None:
    """Every piece that was said long enough before the end is stored."""
    said: dict[str, int] = {}
    record = folder / "said"
    for line in record.read_text().splitlines() if record.exists() else ():
        when, question, number = line.split()
        if is_safe(float(when), kills):
            said[question] = int(number)
    rows = connection.execute(
        "SELECT u.text AS asked, a.text AS answer FROM entries a JOIN entries u ON a.parent = u.id"
        " WHERE a.speaker = 'assistant' AND u.speaker = 'user'"
    )
    longest: dict[str, int] = {}
    for row in rows:
        asked = row["asked"].split()[0]
        longest[asked] = max(longest.get(asked, 0), len(row["answer"].split()))
    for question, number in said.items():
        assert longest.get(question, 0) > number, (question, number, longest.get(question))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_is_lost_when_the_app_is_killed_at_a_terminal(tmp_path: Path) -> None:
    everything: list[tuple[float, str]] = []
    kills: list[float] = []
    for seed in range(KILLS):
        chance = random.Random(seed)
        terminal = Terminal(tmp_path)
        terminal.wait_for(b"edgellm")
        stop = threading.Event()
        person = threading.Thread(target=live, args=(terminal, seed, chance, stop))
        person.start()
        time.sleep(chance.random() * 5)
        kills.append(terminal.kill())
        stop.set()
        person.join()
        everything += [(min(when, kills[-1]), text) for when, text in terminal.typed]
        opened = database.open_database(tmp_path / "chats")
        assert opened.notes == ()
        check(opened.connection, tmp_path, everything, kills)
        opened.close()
    opened = database.open_database(tmp_path / "chats")
    found = chats.listing(opened.connection)
    assert found and any(entries.path(opened.connection, chat.id) for chat in found)
    opened.close()
