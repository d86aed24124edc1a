"""Operations on conversations as a whole: the list, titles, pins, options, deletion that can be undone."""

from __future__ import annotations

import time
from sqlite3 import Connection

import msgspec

from tui.store import presets, rows
from tui.store.records import Chat, Options, Overflow, TitleSource
from tui.store.refusal import Gone

DEFAULT = Options()


def add(connection: Connection, title: str = "", *, model: str = "", options: Options = DEFAULT) -> Chat:
    """A new conversation without messages."""
    now = time.time()
    values = {"title": rows.readable(title), "created": now, "updated": now, "model": model}
    return get(connection, rows.insert(connection, "chats", values | {"options": rows.written(options)}))


def get(connection: Connection, chat: int) -> Chat:
    """Raises Gone if there is none (any more); a deleted one is there until it is purged."""
    row = connection.execute("SELECT * FROM chats WHERE id = ?", (chat,)).fetchone()
    if row is None:
        raise Gone(f"Conversation {chat} no longer exists. Choose another one.")
    return rows.chat(row)


def listing(connection: Connection) -> tuple[Chat, ...]:
    """All that are not deleted: the pinned ones first, then by when they were last written in."""
    found = connection.execute("SELECT * FROM chats WHERE deleted IS NULL ORDER BY pinned DESC, updated DESC, id DESC")
    return tuple(rows.chat(row) for row in found)


def last(connection: Connection) -> Chat | None:
    """The one that was shown last; if that is not known or gone, the one last written in."""
    shown = presets.preferences(connection).get("shown")
    row = connection.execute(
        "SELECT * FROM chats WHERE deleted IS NULL ORDER BY id = ? DESC, updated DESC, id DESC LIMIT 1", (shown,)
    ).fetchone()
    return None if row is None else rows.chat(row)


def set_title(connection: Connection, chat: int, title: str, source: TitleSource) -> Chat:
    """The model never changes a title that the user gave."""
    connection.execute(
        "UPDATE chats SET title = :title, title_source = :source"
        " WHERE id = :chat AND (:source = 'user' OR title_source != 'user')",
        {"title": rows.readable(title), "source": source, "chat": chat},
    )
    return get(connection, chat)


def set_pinned(connection: Connection, chat: int, pinned: bool) -> Chat:
    connection.execute("UPDATE chats SET pinned = ? WHERE id = ?", (int(pinned), chat))
    return get(connection, chat)


def set_options(connection: Connection, chat: int, options: Options) -> Chat:
    connection.execute("UPDATE chats SET options = ? WHERE id = ?", (rows.written(options), chat))
    return get(connection, chat)


def set_overflow(connection: Connection, chat: int, overflow: Overflow) -> Chat:
    """What happens when the context is full."""
    options = msgspec.structs.replace(get(connection, chat).options, overflow=overflow)
    return set_options(connection, chat, options)


def set_model(connection: Connection, chat: int, model: str) -> Chat:
    """Remember the name of the model that answers here."""
    connection.execute("UPDATE chats SET model = ? WHERE id = ?", (model, chat))
    return get(connection, chat)


def delete(connection: Connection, chat: int) -> Chat:
    """Take it off the list; nothing of it is lost before `purge`."""
    connection.execute("UPDATE chats SET deleted = ? WHERE id = ? AND deleted IS NULL", (time.time(), chat))
    return get(connection, chat)


def restore(connection: Connection, chat: int) -> Chat:
    """Undo `delete`."""
    connection.execute("UPDATE chats SET deleted = NULL WHERE id = ?", (chat,))
    return get(connection, chat)


def purge(connection: Connection, before: float) -> int:
    """Destroy what was deleted before this time (Unix seconds); how many conversations that were."""
    return connection.execute("DELETE FROM chats WHERE deleted < ?", (before,)).rowcount
