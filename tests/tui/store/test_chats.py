"""Tests of `tui.store.chats`, `drafts`, `presets` and `cuts`."""

from __future__ import annotations

import time
from sqlite3 import Connection

import pytest

from tui.store import chats, cuts, drafts, entries, posting, presets
from tui.store.records import Options, Preset, Reply
from tui.store.refusal import Gone

OPTIONS = Options(system="Be brief.", sampling={"temperature": 0.5}, max_tokens=9, preset="p", overflow="window")


def test_the_list_has_pinned_ones_first_then_the_latest(connection: Connection) -> None:
    first, second, third = (chats.add(connection, title) for title in "abc")
    chats.set_pinned(connection, second.id, True)
    entries.add(connection, first.id, None, "user")
    assert [chat.id for chat in chats.listing(connection)] == [second.id, first.id, third.id]
    last = chats.last(connection)
    assert last is not None and last.id == first.id


def test_options_come_back(connection: Connection) -> None:
    chat = chats.add(connection)
    assert chats.set_options(connection, chat.id, OPTIONS).options == OPTIONS
    assert chats.get(connection, chat.id).options == OPTIONS


def test_the_model_never_changes_a_title_of_the_user(connection: Connection) -> None:
    chat = chats.add(connection, "first words").id
    assert chats.set_title(connection, chat, "by the model", "model").title == "by the model"
    assert chats.set_title(connection, chat, "mine", "user").title == "mine"
    assert chats.set_title(connection, chat, "by the model", "model").title == "mine"


def test_deleting_can_be_undone_until_it_is_purged(connection: Connection) -> None:
    chat = chats.add(connection, "gone").id
    entries.add(connection, chat, None, "user", Reply(text="words", state="complete"))
    chats.delete(connection, chat)
    assert chats.listing(connection) == () and chats.last(connection) is None
    assert chats.purge(connection, time.time() - 3600) == 0
    assert chats.restore(connection, chat).deleted is None
    assert entries.path(connection, chat)[0].text == "words"
    chats.delete(connection, chat)
    assert chats.purge(connection, time.time() + 1) == 1
    with pytest.raises(Gone):
        chats.get(connection, chat)
    assert connection.execute("SELECT count(*) FROM entries").fetchone()[0] == 0


def test_drafts_belong_to_their_conversation(connection: Connection) -> None:
    chat = chats.add(connection).id
    drafts.save(connection, chat, "for this")
    drafts.save(connection, None, "for a new one")
    drafts.save(connection, None, "for a newer one")
    assert drafts.read(connection, chat) == "for this"
    assert drafts.read(connection, None) == "for a newer one"
    drafts.save(connection, chat, "")
    assert drafts.read(connection, chat) == ""


def test_sending_takes_the_draft_and_fills_the_history(connection: Connection) -> None:
    drafts.save(connection, None, "Hello there")
    chat, entry = posting.begin(connection, "Hello there", (), OPTIONS, "tiny")
    assert (chat.title, chat.options, chat.leaf, chat.model) == ("Hello there", OPTIONS, entry.id, "tiny")
    assert drafts.read(connection, None) == ""
    for text in ("again", "again", "other"):
        posting.post(connection, chat.id, entry.id, text, ())
    assert drafts.history(connection) == ("other", "again", "Hello there")


def test_the_history_forgets_the_oldest(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "KEPT", 3)
    for number in range(9):
        drafts.remember(connection, str(number))
    assert drafts.history(connection, 99) == ("8", "7", "6")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("\n  one\ntwo", "one"),
        ("", "New chat"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 99, "x" * 60 + "…"),
    ],
)
def test_first_words(text: str, title: str) -> None:
    assert posting.first_words(text) == title


def test_presets_and_preferences(connection: Connection) -> None:
    for name in ("b", "A", "b"):
        presets.save(connection, Preset(name=name, options=OPTIONS))
    assert [preset.name for preset in presets.listing(connection)] == ["A", "b"]
    assert presets.listing(connection)[0].options == OPTIONS
    presets.remove(connection, "A")
    assert [preset.name for preset in presets.listing(connection)] == ["b"]
    for name, value in (("theme", "dark"), ("wide", True), ("size", 3), ("gone", "x"), ("gone", None)):
        presets.set_preference(connection, name, value)
    assert presets.preferences(connection) == {"theme": "dark", "wide": True, "size": 3}


def test_a_cut_holds_for_its_branch_only(connection: Connection) -> None:
    chat = chats.add(connection).id
    one = entries.add(connection, chat, None, "user").id
    two = entries.add(connection, chat, one, "user").id
    beside = entries.add(connection, chat, one, "user").id
    cuts.add(connection, one)
    newest = cuts.add(connection, two, "what was said")
    assert cuts.latest(connection, [one, two]) == newest
    found = cuts.latest(connection, [one, beside])
    assert found is not None and found.first == one
    cuts.take_back(connection, chat)
    assert cuts.latest(connection, [one, two]) is None
