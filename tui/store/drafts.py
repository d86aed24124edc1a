"""Operations on words that were typed and not sent, and on those that were: drafts, and the input's history."""

from __future__ import annotations

import time
from sqlite3 import Connection

from tui.store.rows import readable

KEPT = 1000


def save(connection: Connection, chat: int | None, text: str) -> None:
    """Keep `text` for a conversation (None: the one that does not exist yet); empty text forgets it."""
    connection.execute("DELETE FROM drafts WHERE chat IS ?", (chat,))
    if text:
        values = (chat, readable(text), time.time())
        connection.execute("INSERT INTO drafts (chat, text, saved) VALUES (?, ?, ?)", values)


def read(connection: Connection, chat: int | None) -> str:
    row = connection.execute("SELECT text FROM drafts WHERE chat IS ?", (chat,)).fetchone()
    return "" if row is None else str(row["text"])


def remember(connection: Connection, text: str) -> None:
    """Add what was sent to the history; the same text twice in a row counts once, the oldest are forgotten."""
    newest = history(connection, 1)
    if not text or newest == (readable(text),):
        return
    connection.execute("INSERT INTO history (text, created) VALUES (?, ?)", (readable(text), time.time()))
    connection.execute(
        "DELETE FROM history WHERE id <= (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?)", (KEPT,)
    )


def history(connection: Connection, limit: int = KEPT) -> tuple[str, ...]:
    """What was sent, in any conversation, the newest first."""
    found = connection.execute("SELECT text FROM history ORDER BY id DESC LIMIT ?", (limit,))
    return tuple(row["text"] for row in found)
