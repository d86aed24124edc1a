"""Tests of `tui.store.entries`: the tree of messages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from sqlite3 import Connection

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edgellm.events import Timings, Usage
from edgellm.messages import ToolCall, ToolResult
from tests.doubles.wire import texts
from tui.store import chats, database, entries
from tui.store.records import Attachment, Reply
from tui.store.refusal import Gone


def said(text: str) -> Reply:
    return Reply(text=text, state="complete")


def test_everything_of_a_reply_comes_back(connection: Connection) -> None:
    chat = chats.add(connection)
    question = entries.add(connection, chat.id, None, "user", said("?"))
    reply = Reply(
        text="a\x00b\r\nß",
        reasoning="hm",
        calls=(ToolCall("1", "weather", '{"city": "Bern"}'),),
        state="complete",
        reason="stop",
        error="none",
        model="tiny",
        usage=Usage(1, 2, 3),
        timings=Timings(predicted_n=4, predicted_ms=5.5, draft_n=2),
        thought_s=1.5,
        first_s=0.25,
        left_out=3,
    )
    answer = entries.add(connection, chat.id, question.id, "assistant", owner="me")
    entries.save(connection, answer.id, reply)
    tool = entries.add(connection, chat.id, answer.id, "tool", results=[ToolResult("1", "sunny")])
    path = entries.path(connection, chat.id)
    assert [each.id for each in path] == [question.id, answer.id, tool.id]
    assert path[1].reply == reply
    assert path[2].results == (ToolResult("1", "sunny"),)


def test_attachments_stay_with_their_message(connection: Connection) -> None:
    chat = chats.add(connection)
    files = (Attachment(name="a.py", text="1", tokens=7), Attachment(name="b.py", text="2"))
    entries.add(connection, chat.id, None, "user", said("?"), attachments=files)
    assert entries.path(connection, chat.id)[0].attachments == files


def test_half_characters_do_not_stop_a_message(connection: Connection) -> None:
    chat = chats.add(connection)
    assert entries.add(connection, chat.id, None, "user", said("a\ud800b")).text == "a?b"


def test_branches_are_siblings_and_each_is_found_where_it_was_left(connection: Connection) -> None:
    chat = chats.add(connection).id
    first = entries.add(connection, chat, None, "user", said("one"))
    old = entries.add(connection, chat, first.id, "assistant", said("old"))
    below = entries.add(connection, chat, old.id, "user", said("deeper"))
    older = entries.add(connection, chat, below.id, "assistant", said("first answer"))
    newer = entries.add(connection, chat, below.id, "assistant", said("second answer"))
    entries.show(connection, older.id)
    new = entries.add(connection, chat, first.id, "assistant", said("new"))
    assert (new.place, new.of) == (2, 2)
    entries.switch(connection, new.id, -1)
    entries.show(connection, older.id)
    assert [each.id for each in entries.switch(connection, old.id, 1)] == [first.id, new.id]
    back = entries.switch(connection, new.id, -1)
    assert [each.id for each in back] == [first.id, old.id, below.id, older.id]
    assert (back[3].place, back[3].of) == (1, 2) and newer.id not in {each.id for each in back}
    assert chats.get(connection, chat).leaf == older.id


def test_a_step_beyond_the_last_sibling_stays_there(connection: Connection) -> None:
    chat = chats.add(connection).id
    ids = [entries.add(connection, chat, None, "user", said(text)).id for text in "ab"]
    assert entries.switch(connection, ids[1], 5)[-1].id == ids[1]
    assert entries.switch(connection, ids[1], -5)[-1].id == ids[0]


def test_only_an_empty_leaf_is_removed(connection: Connection) -> None:
    chat = chats.add(connection).id
    question = entries.add(connection, chat, None, "user", said(""))
    empty = entries.add(connection, chat, question.id, "assistant")
    below = entries.add(connection, chat, empty.id, "user", said("more"))
    full = entries.add(connection, chat, below.id, "assistant", said("words"))
    assert not any(entries.remove_empty(connection, each.id) for each in (question, empty, full))
    last = entries.add(connection, chat, below.id, "assistant")
    assert entries.remove_empty(connection, last.id)
    assert chats.get(connection, chat).leaf == below.id


def test_what_is_gone_is_told(connection: Connection) -> None:
    chat, other = chats.add(connection).id, chats.add(connection).id
    entry = entries.add(connection, chat, None, "user").id
    for wrong in (
        lambda: entries.get(connection, 99),
        lambda: entries.save(connection, 99, said("")),
        lambda: entries.add(connection, chat, 99, "user"),
        lambda: entries.add(connection, other, entry, "user"),
        lambda: entries.show(connection, 99),
    ):
        with pytest.raises(Gone):
            wrong()


def test_a_damaged_column_costs_only_itself(connection: Connection) -> None:
    chat = chats.add(connection).id
    entries.add(connection, chat, None, "user", said("kept"))
    connection.execute("UPDATE entries SET calls = '{', usage = 'x', timings = '[]'")
    connection.execute("UPDATE chats SET options = '{\"sampling\": 3}'")
    assert entries.path(connection, chat)[0].text == "kept"
    assert chats.get(connection, chat).options.system == ""


class Tree(RuleBasedStateMachine):
    """The stored tree against a dictionary: whatever is added or shown, paths are whole and nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = database.open_database(Path(self.folder.name))
        self.connection = self.opened.connection
        self.chats = [chats.add(self.connection).id for _ in range(2)]
        self.parents: dict[int, int | None] = {}
        self.texts: dict[int, str] = {}
        self.homes: dict[int, int] = {}

    @rule(chat=st.integers(0, 1), pick=st.integers(0), text=texts, root=st.booleans())
    def add(self, chat: int, pick: int, text: str, root: bool) -> None:
        inside = [id for id, home in self.homes.items() if home == self.chats[chat]]
        parent = inside[pick % len(inside)] if inside and not root else None
        entry = entries.add(self.connection, self.chats[chat], parent, "user", said(text))
        self.parents[entry.id], self.texts[entry.id], self.homes[entry.id] = parent, text, self.chats[chat]
        assert chats.get(self.connection, self.chats[chat]).leaf == entry.id

    @precondition(lambda self: self.texts)
    @rule(pick=st.integers(0), text=texts)
    def save(self, pick: int, text: str) -> None:
        entry = list(self.texts)[pick % len(self.texts)]
        entries.save(self.connection, entry, said(text))
        self.texts[entry] = text

    @precondition(lambda self: self.texts)
    @rule(pick=st.integers(0))
    def show(self, pick: int) -> None:
        entry = list(self.texts)[pick % len(self.texts)]
        path = [each.id for each in entries.show(self.connection, entry)]
        assert entry in path and path[-1] not in self.parents.values()

    @precondition(lambda self: self.texts)
    @rule(pick=st.integers(0), step=st.sampled_from([-1, 1]))
    def switch(self, pick: int, step: int) -> None:
        entry = list(self.texts)[pick % len(self.texts)]
        entries.switch(self.connection, entry, step)

    @invariant()
    def paths_are_whole(self) -> None:
        for chat in self.chats:
            path = entries.path(self.connection, chat)
            assert [each.parent for each in path] == [None, *(each.id for each in path)][: len(path)]
            for each in path:
                beside = [id for id, parent in self.parents.items() if parent == each.parent and self.homes[id] == chat]
                assert (each.place, each.of) == (beside.index(each.id) + 1, len(beside))

    @invariant()
    def nothing_is_lost(self) -> None:
        found = {each.id: each for chat in self.chats for each in entries.tree(self.connection, chat)}
        assert {id: each.text for id, each in found.items()} == self.texts
        assert {id: each.parent for id, each in found.items()} == self.parents

    def teardown(self) -> None:
        self.opened.close()
        self.folder.cleanup()


def test_the_tree_is_a_tree() -> None:
    few = settings(max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Tree, settings=few)


@given(st.lists(texts, max_size=5))
@settings(max_examples=5, deadline=None)
def test_what_was_sent_is_what_is_read(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = database.open_database(Path(folder))
        chat, parent = chats.add(opened.connection).id, None
        for text in words:
            parent = entries.add(opened.connection, chat, parent, "user", said(text)).id
        opened.close()
        opened = database.open_database(Path(folder))
        assert [each.text for each in entries.path(opened.connection, chat)] == words
        opened.close()
