"""Tests of `tui.store.search`, with and without the full-text index."""

from __future__ import annotations

import sqlite3
from sqlite3 import Connection

import pytest

from tui.store import chats, entries, search
from tui.store.records import Reply


class Without:
    """A connection of an SQLite that was built without FTS5."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if "entry_words" in sql:
            raise sqlite3.OperationalError("no such module: fts5")
        return self._connection.execute(sql, *parameters)


@pytest.fixture(params=["index", "substring"])
def filled(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    for title, text in (
        ("Binary search", "Why does my loop never end? " + "filler " * 60 + "Use a half-open range."),
        ("Kyoto", "Three days in Kyōto, with temples"),
        ("京都", "京都の天気はどうですか"),
        ("Percent", "100% of __init__ 'quotes' \"double\" OR NEAR("),
    ):
        chat = chats.add(connection, title)
        entries.add(connection, chat.id, None, "user", Reply(text=text, state="complete"))
    return connection if request.param == "index" else Without(connection)  # type: ignore[return-value]


def found(connection: Connection, query: str) -> list[tuple[str, bool]]:
    return [(hit.title, hit.entry is not None) for hit in search.find(connection, query)]


def test_words_are_found_in_titles_and_messages(filled: Connection) -> None:
    assert found(filled, "binary") == [("Binary search", False)]
    assert found(filled, "temples days") == [("Kyoto", True)]
    assert found(filled, "temp") == [("Kyoto", True)]
    assert found(filled, "nowhere") == found(filled, "  ") == []


def test_scripts_without_spaces_are_found(filled: Connection) -> None:
    assert found(filled, "天気") == [("京都", True)]


@pytest.mark.parametrize(
    "query", ['"', "OR", "NEAR(", "'quotes'", "100%", "__init__", "a* b^ -c:", "\\", "\x00", "(((", "*"]
)
def test_nothing_a_person_types_is_an_error(filled: Connection, query: str) -> None:
    for hit in search.find(filled, query):
        assert all(0 <= start < end <= len(hit.snippet) for start, end in hit.ranges)


def test_wildcards_are_letters(filled: Connection) -> None:
    assert found(filled, "100%") == found(filled, "__init__") == [("Percent", True)]


def test_the_snippet_shows_the_match(filled: Connection) -> None:
    (hit,) = search.find(filled, "half-open")
    start, end = hit.ranges[0]
    assert len(hit.snippet) < 400
    assert hit.snippet[start:end].lower() in ("half-open", "half") and hit.snippet.startswith("…")


def test_what_changes_is_found_anew_and_what_is_deleted_is_not(connection: Connection) -> None:
    chat = chats.add(connection).id
    entry = entries.add(connection, chat, None, "assistant", Reply(text="before")).id
    assert found(connection, "before") == [("", True)]  # found as a substring while it is written
    entries.save(connection, entry, Reply(text="after", state="complete"))
    assert not found(connection, "before") and found(connection, "after")
    entries.save(connection, entry, Reply(text="later", state="complete"))
    assert not found(connection, "after") and found(connection, "later")
    chats.delete(connection, chat)
    assert not found(connection, "later")


def test_accents_and_capitals_do_not_matter(connection: Connection) -> None:
    chat = chats.add(connection).id
    entries.add(connection, chat, None, "user", Reply(text="Kyōto", state="complete"))
    assert found(connection, "KYOTO") == [("", True)]
