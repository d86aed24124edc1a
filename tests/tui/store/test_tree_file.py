"""Tests of `tui.store.tree_file` and `markdown_file`: what is exported comes back the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from sqlite3 import Connection

import pytest
from hypothesis import given, settings, strategies as st

from tests.doubles.wire import texts
from tui.store import chats, database, entries, markdown_file, tree_file
from tui.store.records import Attachment, Chat, Options, Reply
from tui.store.refusal import StoreError

nasty = st.sampled_from(
    [
        "<!-- edgellm:message {} -->",
        "\\<!-- edgellm:chat",
        "## You",
        "",
        "\n\n",
        "a\r\nb",
        "```",
        "-->",
        "\x0b\x85\u2028",
    ]
)
words = st.lists(texts | nasty, max_size=4).map("\n".join)
branches = st.lists(st.tuples(st.integers(0, 9), words), max_size=6)


def made(connection: Connection, title: str, drawn: list[tuple[int, str]]) -> Chat:
    chat = chats.add(connection, title, model="tiny", options=Options(system="S", sampling={"top_k": 3}))
    ids: list[int | None] = [None]
    for number, (pick, text) in enumerate(drawn):
        reply = Reply(text=text, reasoning=text, state="complete", model="tiny")
        files = (Attachment(name=f"{number}", text=text, tokens=4),) if number % 2 == 0 else ()
        speaker = "user" if number % 2 == 0 else "assistant"
        parent = ids[pick % len(ids)]
        ids.append(entries.add(connection, chat.id, parent, speaker, reply, attachments=files).id)
    return chats.get(connection, chat.id)


def plain(connection: Connection, chat: int, only_path: bool = False) -> list[object]:
    found = entries.path(connection, chat) if only_path else entries.tree(connection, chat)
    places = {each.id: place for place, each in enumerate(found)}
    return [(places.get(each.parent or 0), each.reply, each.speaker, each.attachments, each.created) for each in found]


@given(texts, branches)
@settings(max_examples=25, deadline=None)
def test_what_is_exported_comes_back(title: str, drawn: list[tuple[int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = database.open_database(Path(folder))
        connection = opened.connection
        chat = made(connection, title, drawn)
        (back,) = tree_file.read(connection, tree_file.write(connection, [chat.id]))
        assert plain(connection, back.id) == plain(connection, chat.id)
        assert plain(connection, back.id, True) == plain(connection, chat.id, True)
        assert (back.title, back.options, back.created, back.model) == (title, chat.options, chat.created, "tiny")
        branch = markdown_file.read(connection, markdown_file.write(connection, chat.id))
        assert plain(connection, branch.id) == plain(connection, chat.id, True)
        assert (branch.title, branch.options) == (title, chat.options)
        opened.close()


def test_markdown_reads_well(connection: Connection) -> None:
    chat = made(connection, "Binary search", [(0, "Why?"), (1, "Because.")])
    text = markdown_file.write(connection, chat.id)
    visible = [line for line in text.splitlines() if line and not line.startswith("<!--")]
    assert visible == ["# Binary search", "## You (0)", "Why?", "## Assistant", "Because."]


def test_all_conversations_fit_in_one_file(connection: Connection) -> None:
    for title in ("a", "b"):
        made(connection, title, [(0, title)])
    data = tree_file.write(connection)
    assert sorted(chat.title for chat in tree_file.read(connection, data)) == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"format": "other", "chats": []}',
        b'{"format": "edgellm conversations", "version": 2, "chats": []}',
        b'{"chats": [{"title": "t", "entries": [{"parent": 0, "speaker": "user", "reply": {}}]}]}',
        b'{"chats": [{"title": "t", "entries": [{"parent": -1, "speaker": "user", "reply": {}}]}]}',
        b'{"chats": [{"title": "t", "leaf": 0}]}',
        b"[" * 100_000,
    ],
)
async def test_other_files_are_refused_and_nothing_is_added(data: bytes, store) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StoreError):
        await store.write(tree_file.read, data)
    assert await store.read(chats.listing) == ()


@pytest.mark.parametrize("text", ["", "# A title\n\nwords", "<!-- edgellm:chat {} -->", "<!-- edgellm:chat [ -->"])
def test_other_markdown_is_refused(text: str, connection: Connection) -> None:
    with pytest.raises(StoreError):
        markdown_file.read(connection, text)


def test_an_answer_that_was_being_written_comes_back_stopped(connection: Connection) -> None:
    chat = chats.add(connection)
    entries.add(connection, chat.id, None, "assistant", Reply(text="so far"))
    (back,) = tree_file.read(connection, tree_file.write(connection))
    assert entries.path(connection, back.id)[0].reply.state == "stopped"
