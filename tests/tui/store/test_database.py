"""Tests of `tui.store.database` and `store`: damage is set aside and saved, transactions are whole, errors are ours."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from tui.store import chats, database, entries, owners
from tui.store.records import Reply
from tui.store.refusal import StoreError
from tui.store.store import Store


def fill(folder: Path, conversations: int, messages: int = 20) -> Path:
    opened = database.open_database(folder)
    for number in range(conversations):
        chat, parent = chats.add(opened.connection, f"Chat {number}").id, None
        for index in range(messages):
            reply = Reply(text=f"{number}.{index} " + "words " * 40, state="complete")
            parent = entries.add(opened.connection, chat, parent, "user", reply).id
    opened.close()
    return folder / database.NAME


def test_a_file_that_is_no_database_is_set_aside_unchanged(tmp_path: Path) -> None:
    rubbish = os.urandom(9000)
    (tmp_path / database.NAME).write_bytes(rubbish)
    opened = database.open_database(tmp_path)
    assert chats.listing(opened.connection) == ()
    assert "nothing in it could be read" in opened.notes[0]
    opened.close()
    (aside,) = tmp_path.glob("chats.damaged-*.db")
    assert str(aside) in opened.notes[0] and aside.read_bytes() == rubbish
    assert database.open_database(tmp_path).notes == ()


def test_what_can_be_read_of_a_damaged_file_is_saved(tmp_path: Path) -> None:
    place = fill(tmp_path, 30)
    data = bytearray(place.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = os.urandom(8192)
    place.write_bytes(data)
    opened = database.open_database(tmp_path)
    found = chats.listing(opened.connection)
    assert len(found) == 30 and "30 of its conversations" in opened.notes[0]
    texts = [each.text for chat in found for each in entries.tree(opened.connection, chat.id)]
    assert len(set(texts)) == len(texts) > 300
    assert not opened.connection.execute("PRAGMA foreign_key_check").fetchall()
    assert all(entries.path(opened.connection, chat.id) for chat in found if entries.tree(opened.connection, chat.id))
    opened.close()


def test_a_database_without_its_tables_is_damaged(tmp_path: Path) -> None:
    place = fill(tmp_path, 1)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("DROP TABLE cuts")
    opened = database.open_database(tmp_path)
    assert [chat.title for chat in chats.listing(opened.connection)] == ["Chat 0"]
    assert opened.notes
    opened.close()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="writable"):
        database.open_database(tmp_path / "in")
    tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_conversations_are_private(tmp_path: Path) -> None:
    place = fill(tmp_path / "new", 1)
    assert place.stat().st_mode & 0o077 == 0


async def test_an_operation_that_fails_changes_nothing(store: Store) -> None:
    def half(connection: Connection) -> None:
        chats.add(connection, "never")
        raise ValueError("broken on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await store.write(half)
    assert await store.read(chats.listing) == ()


async def test_native_errors_do_not_leave_the_store(store: Store) -> None:
    def wrong(connection: Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    with pytest.raises(StoreError, match="nowhere"):
        await store.read(wrong)


async def test_a_write_is_done_even_if_its_caller_is_cancelled(store: Store) -> None:
    task = asyncio.create_task(store.write(chats.add, "kept"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [chat.title for chat in await store.read(chats.listing)] == ["kept"]


async def test_two_apps_share_the_database(store: Store) -> None:
    other = Store(store.folder)
    await other.open()
    await asyncio.gather(*(each.write(chats.add, "x") for each in [store, other] * 10))
    assert len(await store.read(chats.listing)) == len(await other.read(chats.listing)) == 20
    await other.close()


async def test_answers_of_the_living_go_on_and_those_of_the_dead_are_settled(store: Store) -> None:
    chat = (await store.write(chats.add)).id
    streaming = Reply(text="so far")
    mine = await store.write(entries.add, chat, None, "assistant", streaming, owner=store.owner)
    dead = await store.write(entries.add, chat, None, "assistant", streaming, owner="dead")
    other = Store(store.folder)
    await other.open()
    assert (await other.read(entries.get, mine.id)).reply.state == "streaming"
    settled = (await other.read(entries.get, dead.id)).reply
    assert (settled.state, settled.reason, settled.text) == ("stopped", owners.INTERRUPTED, "so far")
    await other.close()
    assert len(list((store.folder / "owners").iterdir())) == 1


async def test_closing_twice_and_opening_again_is_fine(store: Store) -> None:
    await store.close()
    await store.close()
    assert await store.open() == ()
    assert await store.read(chats.listing) == ()
