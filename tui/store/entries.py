"""Operations on the tree of messages: each knows its parent, a conversation knows the leaf of the branch shown."""

from __future__ import annotations

import time
from collections.abc import Iterable
from sqlite3 import Connection, Row

from edgellm.messages import ToolResult
from tui.store import rows
from tui.store.records import Attachment, Entry, Reply, Speaker
from tui.store.refusal import Gone

COMPLETE = Reply(state="complete")

# Siblings share chat and parent; IS compares parents that are NULL (first messages) too.
_COLUMNS = """e.*,
    (SELECT count(*) FROM entries s WHERE s.chat = e.chat AND s.parent IS e.parent) AS of,
    (SELECT count(*) FROM entries s WHERE s.chat = e.chat AND s.parent IS e.parent AND s.id <= e.id) AS place"""
_PATH = f"""WITH RECURSIVE up (id, parent, depth) AS (
        SELECT id, parent, 0 FROM entries WHERE id = ?
        UNION ALL SELECT p.id, p.parent, up.depth + 1 FROM entries p JOIN up ON p.id = up.parent
    ) SELECT {_COLUMNS} FROM up JOIN entries e ON e.id = up.id ORDER BY up.depth DESC"""


def add(
    connection: Connection,
    chat: int,
    parent: int | None,
    speaker: Speaker,
    reply: Reply = COMPLETE,
    *,
    attachments: Iterable[Attachment] = (),
    results: Iterable[ToolResult] = (),
    owner: str = "",
) -> Entry:
    """A new message below `parent` (None: a first one), which becomes the leaf of its conversation.

    `owner` is `Store.owner` for an answer that this process is going to write. Raises Gone.
    """
    if parent is not None and _row(connection, parent)["chat"] != chat:
        raise Gone(f"Message {parent} is not part of conversation {chat}.")
    _leave(connection, chat, parent)
    now = time.time()
    values = {"chat": chat, "parent": parent, "speaker": speaker, "created": now, "updated": now, "owner": owner}
    values |= {"results": rows.written(tuple(results))} | rows.reply_columns(reply)
    added = rows.insert(connection, "entries", values)
    for attachment in attachments:
        text = {"name": rows.readable(attachment.name), "text": rows.readable(attachment.text)}
        rows.insert(connection, "attachments", {"entry": added, "tokens": attachment.tokens} | text)
    connection.execute("UPDATE chats SET leaf = ?, updated = ? WHERE id = ?", (added, now, chat))
    return get(connection, added)


def save(connection: Connection, entry: int, reply: Reply) -> None:
    """Put `reply` in the place of what was known of an answer. Raises Gone."""
    values = rows.reply_columns(reply) | {"updated": time.time()}
    names = ", ".join(f"{name} = :{name}" for name in values)
    done = connection.execute(f"UPDATE entries SET {names}, indexed = 0 WHERE id = :id", values | {"id": entry})
    if not done.rowcount:
        raise Gone(f"Message {entry} no longer exists.")


def remove_empty(connection: Connection, entry: int) -> bool:
    """Remove an answer that has no words and nothing below it, as one that failed at once; whether it did."""
    row = connection.execute(
        "SELECT * FROM entries WHERE id = ? AND text = '' AND reasoning = '' AND calls = '[]'"
        " AND speaker = 'assistant' AND id NOT IN (SELECT parent FROM entries WHERE parent IS NOT NULL)",
        (entry,),
    ).fetchone()
    if row is None:
        return False
    connection.execute("UPDATE chats SET leaf = ? WHERE leaf = ?", (row["parent"], entry))
    connection.execute("DELETE FROM entries WHERE id = ?", (entry,))
    return True


def get(connection: Connection, entry: int) -> Entry:
    """Raises Gone."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM entries e WHERE e.id = ?", (entry,)).fetchone()
    if row is None:
        raise Gone(f"Message {entry} no longer exists.")
    return _entries(connection, [row])[0]


def path(connection: Connection, chat: int) -> tuple[Entry, ...]:
    """The branch shown, first message first."""
    row = connection.execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
    return () if row is None or row["leaf"] is None else path_to(connection, row["leaf"])


def path_to(connection: Connection, entry: int) -> tuple[Entry, ...]:
    """From a first message down to `entry`."""
    return _entries(connection, connection.execute(_PATH, (entry,)).fetchall())


def tree(connection: Connection, chat: int) -> tuple[Entry, ...]:
    """All messages of a conversation; parents come before their children."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM entries e WHERE e.chat = ? ORDER BY e.id", (chat,))
    return _entries(connection, found.fetchall())


def siblings(connection: Connection, entry: int) -> tuple[int, ...]:
    """The ids of all messages with the parent of `entry`, itself included, oldest first."""
    row = _row(connection, entry)
    found = connection.execute(
        "SELECT id FROM entries WHERE chat = ? AND parent IS ? ORDER BY id", (row["chat"], row["parent"])
    )
    return tuple(each["id"] for each in found)


def switch(connection: Connection, entry: int, step: int) -> tuple[Entry, ...]:
    """Show the sibling `step` places from `entry` (the last or first one if there are not so many); the new path."""
    beside = siblings(connection, entry)
    place = min(max(beside.index(entry) + step, 0), len(beside) - 1)
    return show(connection, beside[place])


def show(connection: Connection, entry: int) -> tuple[Entry, ...]:
    """Show the branch of `entry`, down to where it was last left; the new path. Raises Gone."""
    chat = _row(connection, entry)["chat"]
    before = path(connection, chat)
    if entry in {each.id for each in before}:
        return before
    _leave(connection, chat, entry)
    leaf = _lowest(connection, entry)
    connection.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))
    return path_to(connection, leaf)


def _leave(connection: Connection, chat: int, entry: int | None) -> None:
    """Before a branch below `entry` is shown: note, where the paths part, how far down the one shown went."""
    leaf = connection.execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
    if leaf is None or leaf["leaf"] in (None, entry):
        return
    kept = set() if entry is None else set(_ids_to(connection, entry))
    parting = next((id for id in _ids_to(connection, leaf["leaf"]) if id not in kept), None)
    if parting is not None:
        connection.execute("UPDATE entries SET left_at = ? WHERE id = ?", (leaf["leaf"], parting))


def _ids_to(connection: Connection, entry: int) -> list[int]:
    """From a first message down to `entry`."""
    sql = """WITH RECURSIVE up (id, parent) AS (
            SELECT id, parent FROM entries WHERE id = ?
            UNION ALL SELECT p.id, p.parent FROM entries p JOIN up ON p.id = up.parent
        ) SELECT id FROM up"""
    return [row["id"] for row in connection.execute(sql, (entry,))][::-1]


def _lowest(connection: Connection, entry: int) -> int:
    """The leaf where the branch of `entry` was left, else the newest below it."""
    at, below = entry, _row(connection, entry)["left_at"]
    if below is not None and entry in _ids_to(connection, below):
        at = below
    while (row := connection.execute("SELECT max(id) AS id FROM entries WHERE parent = ?", (at,)).fetchone())["id"]:
        at = row["id"]
    return at


def _row(connection: Connection, entry: int) -> Row:
    row: Row | None = connection.execute("SELECT * FROM entries WHERE id = ?", (entry,)).fetchone()
    if row is None:
        raise Gone(f"Message {entry} no longer exists.")
    return row


def _entries(connection: Connection, found: list[Row]) -> tuple[Entry, ...]:
    """Records of `found`, with their attachments."""
    files = _attachments(connection, [row["id"] for row in found if row["speaker"] == "user"])
    return tuple(rows.entry(row, tuple(files.get(row["id"], ()))) for row in found)


def _attachments(connection: Connection, ids: list[int]) -> dict[int, list[Attachment]]:
    found: dict[int, list[Attachment]] = {}
    for start in range(0, len(ids), 500):  # SQLite limits the number of parameters
        some = ids[start : start + 500]
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"SELECT * FROM attachments WHERE entry IN ({marks}) ORDER BY id", some):
            file = Attachment(name=row["name"], text=row["text"], tokens=row["tokens"])
            found.setdefault(row["entry"], []).append(file)
    return found
