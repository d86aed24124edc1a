"""Log-probabilities in the two shapes OpenAI has for them: one for chat, one for completions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgellm.events import TokenLogprob

_FLOOR = -9999.0  # what OpenAI writes for "never": JSON has no infinity


def chat_logprobs(entries: Iterable[TokenLogprob]) -> dict[str, Any]:
    content = [{**entry_of(e), "top_logprobs": [entry_of(other) for other in e.top]} for e in entries]
    return {"content": content, "refusal": None}


def entry_of(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.text, "logprob": max(entry.logprob, _FLOOR), "bytes": list(entry.data)}


class TextLogprobs:
    """The completions shape: parallel lists, where `text_offset` counts characters from the start of a choice."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def take(self, entries: Iterable[TokenLogprob]) -> dict[str, Any]:
        lists: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for entry in entries:
            lists["tokens"].append(entry.text)
            lists["token_logprobs"].append(max(entry.logprob, _FLOOR))
            lists["top_logprobs"].append({other.text: max(other.logprob, _FLOOR) for other in entry.top})
            lists["text_offset"].append(self._offset)
            self._offset += len(entry.text)
        return lists
