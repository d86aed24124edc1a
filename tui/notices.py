"""What the controller tells its listeners, in the order in which it happens; nothing of it needs an answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgellm.messages import ToolCall
from tui.store.records import Chat, Entry

State = Literal["idle", "loading", "streaming", "stopping", "failed"]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one answer; `exact` once the model has given its own. `acceptance` is None where nothing was drafted.

    `tokens` are those written so far, `per_s` the speed of writing, `first_s` the seconds to the first piece.
    """

    tokens: int = 0
    per_s: float = 0.0
    first_s: float | None = None
    acceptance: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    exact: bool = False


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the prompt that the next answer would start from (exact), of `limit` that the context holds.

    `reserve` of them are kept free for the answer. `left_out` messages at the beginning are not part of the prompt.
    """

    used: int
    limit: int
    reserve: int
    left_out: int = 0

    @property
    def full(self) -> bool:
        return self.used + self.reserve > self.limit


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A way to make the conversation fit: without the first `left_out` messages of the path, `used` tokens remain.

    `drop` leaves the fewest out, once; `window` more, again whenever it is needed; `summary` puts a summary, written
    by the model, in their place (`used` then foresees its longest).
    """

    kind: Literal["drop", "window", "summary"]
    left_out: int
    used: int
    first: int


class StateChanged(msgspec.Struct, frozen=True):
    """Of the conversation that is shown. `detail` says what loads, or what went wrong and what to do."""

    state: State
    detail: str = ""


class ChatShown(msgspec.Struct, frozen=True):
    """Another conversation, or another branch of it, is shown: draw `path` anew. `chat` None is a new, empty one."""

    chat: Chat | None
    path: tuple[Entry, ...]


class ChatChanged(msgspec.Struct, frozen=True):
    """Title, pin, options or time of a conversation changed (any of them, not only the one shown)."""

    chat: Chat


class ListChanged(msgspec.Struct, frozen=True):
    """Conversations were added, removed or brought back: read the list again."""


class EntryAdded(msgspec.Struct, frozen=True):
    """At the end of the path shown."""

    entry: Entry


class TextAdded(msgspec.Struct, frozen=True):
    entry: int
    text: str


class ReasoningAdded(msgspec.Struct, frozen=True):
    entry: int
    text: str


class CallChanged(msgspec.Struct, frozen=True):
    """A tool call began or grew; `index` counts the calls of the entry."""

    entry: int
    index: int
    call: ToolCall


class PromptProgress(msgspec.Struct, frozen=True):
    """So many tokens of the prompt were read, before the first piece of text."""

    entry: int
    done: int
    total: int


class StatsChanged(msgspec.Struct, frozen=True):
    entry: int
    stats: Stats


class EntrySettled(msgspec.Struct, frozen=True):
    """The answer is over (complete, stopped or failed); `entry` is what was stored."""

    entry: Entry


class MeterChanged(msgspec.Struct, frozen=True):
    """None: not known, as no model is loaded."""

    meter: Meter | None


class Outgrown(msgspec.Struct, frozen=True):
    """The conversation does not fit the context; nothing is generated until one of `offers` is chosen.

    What an offer leaves out is `Controller.path[: offer.left_out]`. Empty `offers`: even the last message alone is
    too long (`meter` tells by how much).
    """

    meter: Meter
    offers: tuple[Offer, ...]


class Summarized(msgspec.Struct, frozen=True):
    """The summary that `offer` asked for, as the model wrote it; nothing is cut before `choose` is given its words."""

    offer: Offer
    words: str


class Deleted(msgspec.Struct, frozen=True):
    """A conversation was deleted; `Controller.undo` brings it back."""

    chat: Chat


class Warned(msgspec.Struct, frozen=True):
    """Something a person should know that stops nothing (a damaged file was set aside, saving fails)."""

    message: str


class Noted(msgspec.Struct, frozen=True):
    """Something about the model that is not quite as it was asked for (why this one, where it was loaded)."""

    message: str


Notice = (
    StateChanged
    | ChatShown
    | ChatChanged
    | ListChanged
    | EntryAdded
    | TextAdded
    | ReasoningAdded
    | CallChanged
    | PromptProgress
    | StatsChanged
    | EntrySettled
    | MeterChanged
    | Outgrown
    | Summarized
    | Deleted
    | Warned
    | Noted
)
