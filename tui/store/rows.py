"""Turns rows into records and back; what cannot be read gives its default, so that one bad row hides no other."""

from __future__ import annotations

from sqlite3 import Connection, Row
from typing import Any, TypeVar

import msgspec

from edgellm.events import Timings, Usage
from edgellm.messages import ToolCall, ToolResult
from tui.store.records import Attachment, Chat, Entry, Options, Reply

T = TypeVar("T")


def written(value: Any) -> str:
    """`value` as JSON text."""
    return msgspec.json.encode(value).decode()


def readable(text: str) -> str:
    """`text` as UTF-8 can hold it; half characters from a broken paste become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def chat(row: Row) -> Chat:
    values = {name: row[name] for name in ("id", "title", "title_source", "created", "updated", "leaf", "model")}
    options = json(row["options"], Options, Options())
    return Chat(**values, pinned=bool(row["pinned"]), deleted=row["deleted"], options=options)


def entry(row: Row, attachments: tuple[Attachment, ...]) -> Entry:
    """`row` has the columns of `entries`, and `place` and `of` (its siblings)."""
    names = ("id", "chat", "parent", "speaker", "created", "updated", "place", "of")
    return Entry(
        **{name: row[name] for name in names},
        reply=reply(row),
        results=json(row["results"], tuple[ToolResult, ...], ()),
        attachments=attachments,
    )


def reply(row: Row) -> Reply:
    plain = ("text", "reasoning", "state", "reason", "error", "model", "thought_s", "first_s", "left_out")
    return Reply(
        **{name: row[name] for name in plain},
        calls=json(row["calls"], tuple[ToolCall, ...], ()),
        usage=json(row["usage"], Usage | None, None),
        timings=json(row["timings"], Timings | None, None),
    )


def reply_columns(reply: Reply) -> dict[str, Any]:
    """The columns of `entries` that a reply fills, by name."""
    values = {name: getattr(reply, name) for name in ("state", "model", "thought_s", "first_s", "left_out")}
    values |= {name: readable(getattr(reply, name)) for name in ("text", "reasoning", "reason", "error")}
    return values | {
        "calls": written(reply.calls),
        "usage": written(reply.usage),
        "timings": written(reply.timings),
    }


def insert(connection: Connection, table: str, values: dict[str, Any]) -> int:
    """Add a row; returns its id. `table` and the names are ours, never a user's."""
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    added = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values).lastrowid
    assert added is not None
    return added


def json(text: str | None, type_: Any, default: T) -> T:
    """What `text` holds as a `type_`, else `default`."""
    if text is None:
        return default
    try:
        value: T = msgspec.json.decode(text, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return default
    return value
