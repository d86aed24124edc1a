"""Truncation that a client asks for: the oldest turns of a conversation left out until it fits, and told about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from fastapi import Request

from edgellm.errors import RequestError
from edgellm.messages import Message
from edgellm.model import Model
from edgellm.request import ChatRequest, Conversation, Infill, Input

HEADER = "x-edgellm-truncation"
REPORT = "x-edgellm-truncated"
_USUAL_ANSWER = 1024


class Dropped(msgspec.Struct, frozen=True):
    """How much the model was not shown of a conversation, or of the files around a hole."""

    messages: int = 0
    tokens: int = 0
    files: int = 0

    def headers(self) -> dict[str, str]:
        """Says so, where anything was left out."""
        counts = {name: count for name, count in msgspec.structs.asdict(self).items() if count}
        return {REPORT: ", ".join(f"{name}={count}" for name, count in counts.items())} if counts else {}


NOTHING = Dropped()


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
    """`asked` with as few of its oldest turns left out as make prompt and answer fit; of an infill, its first files.

    Instructions at the start and the last turn stay; of that, older calls of tools go with their results, but not the
    last ones. What does not fit even so is for the model to refuse. An answer that may be of any length counts with a
    quarter of the context, up to 1024 tokens, and none with more than half of it.
    """
    begun, cuts = asked.input, _cuts(asked.input)
    if not cuts:
        return asked, NOTHING
    await model.start()  # the context is known only then
    context = model.info.context_length
    room = context - min(asked.max_tokens or min(context // 4, _USUAL_ANSWER), context // 2)
    whole = await _tokens(model, asked, begun)
    if not context or whole <= room:
        return asked, NOTHING
    kept = await _longest(model, asked, cuts, room)
    tokens = whole - await _tokens(model, asked, kept)
    if isinstance(kept, Infill):
        dropped = Dropped(tokens=tokens, files=_parts(begun) - _parts(kept))
    else:
        dropped = Dropped(tokens=tokens, messages=_parts(begun) - _parts(kept))
    return msgspec.structs.replace(asked, input=kept), dropped


async def _longest(model: Model, asked: ChatRequest, cuts: Sequence[_Cut], room: int) -> Input:
    """What the first of `cuts` that makes it at most `room` tokens leaves of the input; else what the last one does."""
    low, high = 0, len(cuts) - 1
    while low < high:
        middle = (low + high) // 2
        if await _tokens(model, asked, cuts[middle].of(asked.input)) <= room:
            high = middle
        else:
            low = middle + 1
    return cuts[low].of(asked.input)


async def _tokens(model: Model, asked: ChatRequest, input: Input) -> int:
    return len(await model.tokenize(input, asked.template_args, asked.tools))


def _parts(input: Input) -> int:
    match input:
        case Conversation(messages=messages):
            return len(messages)
        case Infill(files=files):
            return len(files or ())
        case _:
            return 0


class _Cut(Protocol):
    def of(self, input: Input) -> Input:
        """What it leaves of `input`."""
        ...


class _FileCut(msgspec.Struct, frozen=True):
    first: int

    def of(self, input: Input) -> Input:
        assert isinstance(input, Infill)
        return msgspec.structs.replace(input, files=(input.files or ())[self.first :])


class _TurnCut(msgspec.Struct, frozen=True):
    """What stays: messages up to `head`, those from `turns` up to `rounds`, and those from `rest`."""

    head: int
    turns: int
    rounds: int
    rest: int

    def of(self, input: Input) -> Input:
        assert isinstance(input, Conversation)
        said = input.messages
        left = said[: self.head] + said[self.turns : self.rounds] + said[self.rest :]
        return msgspec.structs.replace(input, messages=left)


def _cuts(input: Input) -> Sequence[_Cut]:
    """Ever more of what may be left out; nothing may of plain prompts."""
    match input:
        case Conversation(messages=messages):
            return _turn_cuts(messages)
        case Infill(files=files):
            return [_FileCut(first) for first in range(1, len(files or ()) + 1)]
        case _:
            return []


def _turn_cuts(messages: Sequence[Message]) -> list[_TurnCut]:
    """Ever more left out, the oldest first: a turn each, then of the last turn a call with its results each."""
    count = len(messages)
    head = next((i for i, message in enumerate(messages) if message.role not in ("system", "developer")), 0)
    turns = [i for i in range(head + 1, count) if messages[i].role == "user"]
    last = turns[-1] if turns else head
    rounds = [i for i in range(last + 1, count) if messages[i].role == "assistant"]
    of_turns = [_TurnCut(head, turn, count, count) for turn in turns]
    return of_turns + [_TurnCut(head, last, rounds[0], rest) for rest in rounds[1:]]
