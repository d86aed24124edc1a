"""Operations on what the user chose not to give to the model any more, once a conversation outgrew the context."""

from __future__ import annotations

import time
from collections.abc import Iterable
from sqlite3 import Connection

from tui.store import chats, rows
from tui.store.records import Chat, Cut


def add(connection: Connection, first: int, summary: str = "") -> Cut:
    """From now on, branches through the entry `first` begin with it, or with a `summary` of what came before."""
    now, summary = time.time(), rows.readable(summary)
    id = rows.insert(connection, "cuts", {"first": first, "summary": summary, "created": now})
    return Cut(id=id, first=first, summary=summary, created=now)


def latest(connection: Connection, path: Iterable[int]) -> Cut | None:
    """The newest that begins at one of these entries."""
    on_path = set(path)
    for row in connection.execute(
        "SELECT c.* FROM cuts c JOIN entries e ON e.id = c.first"
        " WHERE e.chat = (SELECT chat FROM entries WHERE id = ?) ORDER BY c.id DESC",
        (max(on_path, default=0),),
    ):
        if row["first"] in on_path:
            return Cut(id=row["id"], first=row["first"], summary=row["summary"], created=row["created"])
    return None


def take_back(connection: Connection, chat: int) -> Chat:
    """Give the model everything again, also from now on."""
    connection.execute("DELETE FROM cuts WHERE first IN (SELECT id FROM entries WHERE chat = ?)", (chat,))
    return chats.set_overflow(connection, chat, "ask")
