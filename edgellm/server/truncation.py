"""Truncation that a client asks for: the oldest turns of a conversation left out until it fits, and told about."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from fastapi import Request

from edgellm.errors import RequestError
from edgellm.messages import Message
from edgellm.model import Model
from edgellm.request import ChatRequest, Conversation

HEADER = "x-edgellm-truncation"
REPORT = "x-edgellm-truncated"
_USUAL_ANSWER = 1024


class Dropped(msgspec.Struct, frozen=True):
    """How much of a conversation the model was not shown."""

    messages: int
    tokens: int

    def headers(self) -> dict[str, str]:
        """Says so, where anything was left out."""
        return {REPORT: f"messages={self.messages}, tokens={self.tokens}"} if self.messages else {}


NOTHING = Dropped(0, 0)


def is_asked(request: Request) -> bool:
    """Whether the request's header wants its conversation made to fit. Raises RequestError for what it cannot say."""
    said = request.headers.get(HEADER, "disabled").strip().lower()
    if said not in ("auto", "disabled"):
        raise RequestError(f"The header {HEADER} must be 'auto' or 'disabled'.")
    return said == "auto"


async def fitted_if_asked(request: Request, model: Model, asked: ChatRequest) -> tuple[ChatRequest, Dropped]:
    """`fitted` where the request's header wants that, else `asked` as it is."""
    return await fitted(model, asked) if is_asked(request) else (asked, NOTHING)


async def fitted(model: Model, asked: ChatRequest) -> tuple[ChatRequest, Dropped]:
    """`asked` with as few of its oldest turns left out as make prompt and answer fit; only conversations have turns.

    Instructions at the start and the last turn stay; of that, older calls of tools go with their results, but not the
    last ones. What does not fit even so is for the model to refuse. An answer that may be of any length counts with a
    quarter of the context, up to 1024 tokens, and none with more than half of it.
    """
    begun = asked.input
    if not isinstance(begun, Conversation):
        return asked, NOTHING
    await model.start()  # the context is known only then
    context = model.info.context_length
    room = context - min(asked.max_tokens or min(context // 4, _USUAL_ANSWER), context // 2)
    whole = await _tokens(model, asked, begun)
    cuts = _cuts(begun.messages)
    if not context or whole <= room or not cuts:
        return asked, NOTHING
    kept = await _longest(model, asked, begun, cuts, room)
    dropped = Dropped(len(begun.messages) - len(kept.messages), whole - await _tokens(model, asked, kept))
    return msgspec.structs.replace(asked, input=kept), dropped


async def _longest(
    model: Model, asked: ChatRequest, begun: Conversation, cuts: Sequence[_Cut], room: int
) -> Conversation:
    """What the first of `cuts` that makes it at most `room` tokens leaves of `begun`; else what the last one does."""
    low, high = 0, len(cuts) - 1
    while low < high:
        middle = (low + high) // 2
        if await _tokens(model, asked, cuts[middle].of(begun)) <= room:
            high = middle
        else:
            low = middle + 1
    return cuts[low].of(begun)


async def _tokens(model: Model, asked: ChatRequest, conversation: Conversation) -> int:
    return len(await model.tokenize(conversation, asked.template_args, asked.tools))


class _Cut(msgspec.Struct, frozen=True):
    """What stays: messages up to `head`, those from `turns` up to `rounds`, and those from `rest`."""

    head: int
    turns: int
    rounds: int
    rest: int

    def of(self, conversation: Conversation) -> Conversation:
        said = conversation.messages
        left = said[: self.head] + said[self.turns : self.rounds] + said[self.rest :]
        return msgspec.structs.replace(conversation, messages=left)


def _cuts(messages: Sequence[Message]) -> list[_Cut]:
    """Ever more left out, the oldest first: a turn each, then of the last turn a call with its results each."""
    count = len(messages)
    head = next((i for i, message in enumerate(messages) if message.role not in ("system", "developer")), 0)
    turns = [i for i in range(head + 1, count) if messages[i].role == "user"]
    last = turns[-1] if turns else head
    rounds = [i for i in range(last + 1, count) if messages[i].role == "assistant"]
    return [_Cut(head, turn, count, count) for turn in turns] + [_Cut(head, last, rounds[0], i) for i in rounds[1:]]
