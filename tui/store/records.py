"""What the store hands out: frozen snapshots of its rows; times are Unix seconds."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edgellm.events import Timings, Usage
from edgellm.messages import ToolCall, ToolResult

State = Literal["streaming", "complete", "stopped", "failed"]
Speaker = Literal["user", "assistant", "tool"]
TitleSource = Literal["first words", "model", "user"]
Overflow = Literal["ask", "window"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation's answers are made.

    `sampling` holds only those fields of `SamplingParams` that differ from the model's own recommendation.
    `overflow` says what happens when the context is full: ask, or let a window slide over the last turns.
    `thinking` None leaves it to the model whether it thinks first.
    """

    system: str = ""
    sampling: dict[str, Any] = {}
    max_tokens: int | None = None
    preset: str = ""
    overflow: Overflow = "ask"
    thinking: bool | None = None


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation, without its messages; `leaf` is the last entry of the branch that is shown."""

    id: int
    title: str = ""
    title_source: TitleSource = "first words"
    created: float = 0.0
    updated: float = 0.0
    leaf: int | None = None
    pinned: bool = False
    deleted: float | None = None
    model: str = ""
    options: Options = Options()


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when the message was sent; `tokens` is None until a model counted them."""

    name: str
    text: str
    tokens: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of an answer while it is written, and is saved each second.

    `reason` is the model's finish reason, or `stopped`, `interrupted` (the app ended first); `error` what went wrong.
    `thought_s` is how long it reasoned, `first_s` how long the first piece took. `left_out` messages at the beginning
    of the conversation were not given to the model.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    state: State = "streaming"
    reason: str = ""
    error: str = ""
    model: str = ""
    usage: Usage | None = None
    timings: Timings | None = None
    thought_s: float = 0.0
    first_s: float = 0.0
    left_out: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation's tree; `parent` None makes it a first message.

    `place` of `of` siblings (from 1) is what a branch marker shows. An entry of a user has its words in `reply.text`.
    """

    id: int
    chat: int
    parent: int | None
    speaker: Speaker
    reply: Reply = Reply(state="complete")
    results: tuple[ToolResult, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    created: float = 0.0
    updated: float = 0.0
    place: int = 1
    of: int = 1

    @property
    def text(self) -> str:
        return self.reply.text


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """The user's choice that what comes before the entry `first` is not given to the model, but for a `summary`."""

    id: int
    first: int
    summary: str = ""
    created: float = 0.0


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A found message (`entry` None: the title matched); `ranges` are (start, end) of the matches in `snippet`."""

    chat: int
    title: str
    entry: int | None
    speaker: Speaker | None
    snippet: str
    ranges: tuple[tuple[int, int], ...]
    created: float


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Named options to begin a conversation with."""

    name: str
    options: Options
