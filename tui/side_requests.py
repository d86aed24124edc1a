"""What the app itself asks of the model: a title, in the background, and a summary of what no longer fits."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import msgspec

from edgellm import errors, messages
from edgellm.errors import RequestError
from edgellm.events import Event, Failed, Text
from edgellm.model import Model
from edgellm.request import GREEDY, ChatRequest, Conversation

TITLE_TOKENS = 32
TITLE_LENGTH = 60
_TITLE = "Write a title of two to six words for this conversation. Answer with the title only, without quotation marks."
_SUMMARY = (
    "Write a short summary of our conversation so far: what was asked and what was answered, with the facts, names, "
    "numbers, decisions and open questions. Answer with the summary only."
)


_BEGINS = re.compile(r"\W*(?:sure|certainly|of course|okay|here)\b", re.IGNORECASE)
_INTRODUCES = re.compile(r"\btitle\b|:\s*\Z", re.IGNORECASE)
"""Together: how small models begin that do not begin with the title."""
_ABOUT = re.compile(r"\btitle\b.*\b(?:conversation|chat|discussion)\b", re.IGNORECASE)
"""Nor is it one where the title is talked about."""


async def title(model: Model, conversation: Conversation) -> str:
    """A short title, or nothing usable (""). Raises EdgeLLMError. The conversation's computed prompt is reused."""
    request = ChatRequest(
        input=asking(conversation, _TITLE),
        sampling=GREEDY,
        max_tokens=TITLE_TOKENS,
        priority="batch",
        thinking=False,
    )
    return clean_title(await _text(model, request))


async def summary(model: Model, conversation: Conversation, max_tokens: int) -> str:
    """Raises EdgeLLMError."""
    request = ChatRequest(input=summary_prompt(conversation), sampling=GREEDY, max_tokens=max_tokens, thinking=False)
    words = (await _text(model, request)).strip()
    if not words:
        raise RequestError("The model wrote no summary. Choose another way to make the conversation fit.")
    return words


def summary_prompt(conversation: Conversation) -> Conversation:
    return asking(conversation, _SUMMARY)


def asking(conversation: Conversation, wish: str) -> Conversation:
    """`conversation` with one more question of the user."""
    said = conversation.messages
    if said and said[-1].role == "user":  # two questions in a row are refused by some templates
        wish_too = messages.TextPart(f"\n\n{wish}")
        return msgspec.structs.replace(
            conversation, messages=(*said[:-1], messages.Message("user", (*said[-1].parts, wish_too)))
        )
    return msgspec.structs.replace(conversation, messages=(*said, messages.user(wish)))


def clean_title(text: str) -> str:
    """The title in what a model wrote when asked for one; "" if there is none."""
    text = re.sub(r"<think>.*?(</think>|$)", "", text, flags=re.DOTALL)
    line = next((line for line in map(_bare, text.splitlines()) if line), "")
    if len(line) > TITLE_LENGTH:
        line = line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"
    return line


def _bare(line: str) -> str:
    """A line without what introduces a title or surrounds it; "" for one that only introduces."""
    line = re.sub(r"^\W*title\s*:", "", line.strip(), flags=re.IGNORECASE)
    if _ABOUT.search(line) or (_BEGINS.match(line) and _INTRODUCES.search(line)):
        quoted = re.search(r'["“„«]([^"”“»]{2,})["”“»]', line)
        line = quoted[1] if quoted else line.partition(":")[2]
    return " ".join(line.lstrip("# ").strip("\"'`*_“”„«» .").split())


async def _text(model: Model, request: ChatRequest) -> str:
    pieces: list[str] = []
    async with aclosing(cast(AsyncGenerator[Event, None], model.stream(request))) as events:
        async for event in events:
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, Failed):
                raise errors.from_code(event.code, event.message, event.details)
    return "".join(pieces)
