"""A conversation as Markdown for people: the branch shown, which comes back as it was when the file is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from sqlite3 import Connection
from typing import TypeVar

import msgspec

from edgellm.messages import ToolCall, ToolResult
from tui.store import chats, entries, tree_file
from tui.store.records import Attachment, Chat, Entry, Options, Reply, Speaker, State
from tui.store.refusal import StoreError
from tui.store.tree_file import FileChat, FileEntry

NAMES: dict[Speaker, str] = {"user": "You", "assistant": "Assistant", "tool": "Tool"}
_MARK = re.compile(r"^<!-- edgellm:(chat|message) (.*) -->$")
_ESCAPED = re.compile(r"^(\\*)<!-- edgellm:")


M = TypeVar("M")


class _ChatMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Markdown has no words for, hidden in a comment."""

    title: str
    created: float = 0.0
    model: str = ""
    options: Options = Options()


class _MessageMark(msgspec.Struct, frozen=True, omit_defaults=True):
    speaker: Speaker
    created: float = 0.0
    state: State = "complete"
    reason: str = ""
    model: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    attachments: tuple[Attachment, ...] = ()


def write(connection: Connection, chat: int) -> str:
    """The branch that is shown. Raises Gone."""
    return render(chats.get(connection, chat), entries.path(connection, chat))


def read(connection: Connection, text: str) -> Chat:
    """Add the conversation in `text`, a file that `write` made, as a new one. Raises StoreError."""
    return tree_file.add(connection, parse(text))


def render(chat: Chat, path: Sequence[Entry]) -> str:
    mark = _ChatMark(chat.title, chat.created, chat.model, chat.options)
    title = " ".join(chat.title.split()) or "Conversation"
    return "".join([f"# {title}\n\n{_comment('chat', mark)}\n", *map(_message, path)])


def parse(text: str) -> FileChat:
    """What `render` wrote. Raises StoreError."""
    chat: _ChatMark | None = None
    found: list[tuple[_MessageMark, list[str]]] = []
    for line in text.split("\n"):
        if match := _MARK.match(line.rstrip("\r")):
            if match[1] == "chat":
                chat = _decoded(match[2], _ChatMark)
            else:
                found.append((_decoded(match[2], _MessageMark), []))
        elif found:
            found[-1][1].append(_unescaped(line))
    if chat is None:
        raise StoreError("The file is no conversation that edgellm exported: it lacks its hidden marks.")
    made = [_entry(place, mark, lines) for place, (mark, lines) in enumerate(found)]
    return FileChat(title=chat.title, created=chat.created, model=chat.model, options=chat.options, entries=tuple(made))


def _message(entry: Entry) -> str:
    reply = entry.reply
    mark = _MessageMark(
        entry.speaker,
        entry.created,
        reply.state,
        reply.reason,
        reply.model,
        reply.reasoning,
        reply.calls,
        entry.results,
        entry.attachments,
    )
    files = f" ({', '.join(file.name for file in entry.attachments)})" if entry.attachments else ""
    heading = " ".join(f"{NAMES[entry.speaker]}{files}".split())
    return f"\n{_comment('message', mark)}\n## {heading}\n\n{_escaped(entry.text)}\n"


def _entry(place: int, mark: _MessageMark, lines: list[str]) -> FileEntry:
    """`lines` are a heading, an empty line, the text, and what separates it from the next message."""
    words = "\n".join(lines[2:-1])
    reply = Reply(
        text=words, reasoning=mark.reasoning, calls=mark.calls, state=mark.state, reason=mark.reason, model=mark.model
    )
    return FileEntry(
        parent=place - 1 if place else None,
        speaker=mark.speaker,
        reply=reply,
        results=mark.results,
        attachments=mark.attachments,
        created=mark.created,
    )


def _comment(kind: str, mark: msgspec.Struct) -> str:
    """JSON in a comment; what could end the comment is written as JSON escapes."""
    data = msgspec.json.encode(mark).decode().replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<!-- edgellm:{kind} {data} -->"


def _decoded(data: str, type_: type[M]) -> M:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise StoreError(f"The file is damaged: {error} in a hidden mark.") from None


def _escaped(text: str) -> str:
    """Lines that look like our marks get one more backslash."""
    return "\n".join("\\" + line if _ESCAPED.match(line) else line for line in text.split("\n"))


def _unescaped(line: str) -> str:
    return line[1:] if line.startswith("\\") and _ESCAPED.match(line) else line
