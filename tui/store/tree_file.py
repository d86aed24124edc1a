"""Conversations as JSON files: everything of them, all branches; what was written comes back the same."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Literal

import msgspec

from edgellm.messages import ToolResult
from tui.store import chats, entries, rows
from tui.store.records import Attachment, Chat, Options, Reply, Speaker, TitleSource
from tui.store.refusal import StoreError


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A message; `parent` is the place of its parent in the file's list, which comes earlier."""

    parent: int | None
    speaker: Speaker
    reply: Reply
    results: tuple[ToolResult, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    created: float = 0.0


class FileChat(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation; `leaf` is a place in `entries`."""

    title: str
    title_source: TitleSource = "user"
    created: float = 0.0
    updated: float = 0.0
    pinned: bool = False
    model: str = ""
    options: Options = Options()
    leaf: int | None = None
    entries: tuple[FileEntry, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds; `version` grows when older programs could not read it."""

    format: Literal["edgellm conversations"] = "edgellm conversations"
    version: Literal[1] = 1
    chats: tuple[FileChat, ...] = ()


def write(connection: Connection, ids: Sequence[int] | None = None) -> bytes:
    """The conversations with these ids (None: all that are not deleted) as indented JSON. Raises Gone."""
    chosen = chats.listing(connection) if ids is None else [chats.get(connection, id) for id in ids]
    file = File(chats=tuple(_file_chat(connection, chat) for chat in chosen))
    return msgspec.json.format(msgspec.json.encode(file), indent=2)


def read(connection: Connection, data: bytes) -> tuple[Chat, ...]:
    """Add the conversations of a file as new ones. Raises StoreError if it is none of ours, or makes no sense."""
    try:
        file = msgspec.json.decode(data, type=File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"The file holds no conversations of edgellm: {error}.") from None
    return tuple(add(connection, chat) for chat in file.chats)


def add(connection: Connection, found: FileChat) -> Chat:
    """Add one conversation. Raises StoreError."""
    _refuse_senseless(found)
    chat = chats.add(connection, found.title, model=found.model, options=found.options)
    ids: list[int] = []
    for each in found.entries:
        parent = None if each.parent is None else ids[each.parent]
        # An answer that was being written when the file was made has nobody who goes on with it.
        state = "stopped" if each.reply.state == "streaming" else each.reply.state
        reply = msgspec.structs.replace(each.reply, state=state)
        entry = entries.add(
            connection, chat.id, parent, each.speaker, reply, attachments=each.attachments, results=each.results
        )
        connection.execute("UPDATE entries SET created = ? WHERE id = ?", (each.created, entry.id))
        ids.append(entry.id)
    connection.execute(
        "UPDATE chats SET title_source = ?, created = ?, updated = ?, pinned = ?, leaf = ? WHERE id = ?",
        (
            found.title_source,
            found.created or chat.created,
            found.updated or chat.updated,
            int(found.pinned),
            ids[-1 if found.leaf is None else found.leaf] if ids else None,
            chat.id,
        ),
    )
    return chats.get(connection, chat.id)


def _file_chat(connection: Connection, chat: Chat) -> FileChat:
    found = entries.tree(connection, chat.id)
    places = {entry.id: place for place, entry in enumerate(found)}
    return FileChat(
        title=chat.title,
        title_source=chat.title_source,
        created=chat.created,
        updated=chat.updated,
        pinned=chat.pinned,
        model=chat.model,
        options=chat.options,
        leaf=None if chat.leaf is None else places[chat.leaf],
        entries=tuple(
            FileEntry(
                parent=None if entry.parent is None else places[entry.parent],
                speaker=entry.speaker,
                reply=entry.reply,
                results=entry.results,
                attachments=entry.attachments,
                created=entry.created,
            )
            for entry in found
        ),
    )


def _refuse_senseless(found: FileChat) -> None:
    for place, entry in enumerate(found.entries):
        if entry.parent is not None and not 0 <= entry.parent < place:
            raise StoreError(f"The file is damaged: message {place} of {rows.readable(found.title)!r} has no parent.")
    if found.leaf is not None and not 0 <= found.leaf < len(found.entries):
        raise StoreError(f"The file is damaged: {rows.readable(found.title)!r} shows a message that it does not have.")
