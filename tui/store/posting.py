"""Operations that send: the message, its conversation, the history and the draft change together or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection

from tui.store import chats, drafts, entries
from tui.store.records import Attachment, Chat, Entry, Options, Reply

TITLE_LENGTH = 60


def begin(
    connection: Connection, text: str, attachments: Iterable[Attachment], options: Options, model: str
) -> tuple[Chat, Entry]:
    """A new conversation with its first message; its title is the first words for now."""
    drafts.save(connection, None, "")
    chat = chats.add(connection, first_words(text), model=model, options=options)
    return post(connection, chat.id, None, text, attachments)


def post(
    connection: Connection, chat: int, parent: int | None, text: str, attachments: Iterable[Attachment]
) -> tuple[Chat, Entry]:
    """A message of the user below `parent`. Raises Gone."""
    entry = entries.add(connection, chat, parent, "user", Reply(text=text, state="complete"), attachments=attachments)
    drafts.save(connection, chat, "")
    drafts.remember(connection, text)
    return chats.get(connection, chat), entry


def first_words(text: str) -> str:
    """A title until there is a better one: the beginning of the first line, cut between words."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "New chat")
    if len(line) <= TITLE_LENGTH:
        return line
    short = line[:TITLE_LENGTH]
    return (short.rsplit(" ", 1)[0] if " " in short[20:] else short).rstrip(" .,;:!?") + "…"
