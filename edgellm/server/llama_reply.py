"""A model's events as llama-server's own completions: chunks (`LlamaChunks`) or one body (`LlamaWhole`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Reasoning, Started, Text, TokenLogprob
from edgellm.server.openai_logprobs import entry_of
from edgellm.server.tally import Tally

encode = msgspec.json.encode


class Telling(msgspec.Struct, frozen=True):
    """What is told of every answer: `settings` and `truncated` at its end. A `silent` one has no text.

    Without `scores`, probabilities are there for the ids of the tokens alone. `fields` are all that one body tells, if
    any are named; a slash leads into an object.
    """

    model: str
    settings: dict[str, Any]
    truncated: bool
    silent: bool
    scores: bool
    fields: tuple[str, ...] = ()


class _Growing:
    """The answer to the prompt of number `index` as it comes to be."""

    def __init__(self, telling: Telling, index: int) -> None:
        self._telling = telling
        self._index = index
        self._tally = Tally(1)
        self._prompt_tokens = 0
        self.text: list[str] = []
        self.logprobs: list[TokenLogprob] = []

    def add(self, event: Event) -> dict[str, Any] | None:
        """The chunk for `event`, if it has one."""
        match event:
            case Text(text=text, logprobs=logprobs) | Reasoning(text=text, logprobs=logprobs):
                if self._telling.silent or not (text or logprobs):
                    return None
                self.text.append(text)
                self.logprobs += logprobs
                return self.chunk(text, logprobs)
            case Started(prompt_tokens=prompt):
                self._tally.start(event)
                self._prompt_tokens = prompt
            case Finished():
                self._tally.add(event)
                return self._ending(event)
            case _:
                pass
        return None

    def chunk(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        tokens = [entry.token for entry in logprobs]
        head = {"index": self._index, "content": text, "tokens": tokens, "stop": False, "id_slot": -1}
        return head | {"tokens_evaluated": self._prompt_tokens} | self.probabilities(logprobs)

    def _ending(self, event: Finished) -> dict[str, Any]:
        predicted = 0 if self._telling.silent else event.usage.completion_tokens
        return {
            "index": self._index,
            "content": "",
            "tokens": [],
            "id_slot": -1,
            "stop": True,
            "model": self._telling.model,
            "tokens_predicted": predicted,
            "tokens_evaluated": event.usage.prompt_tokens,
            "generation_settings": self._telling.settings,
            "has_new_line": any("\n" in text for text in self.text),
            "truncated": self._telling.truncated,
            "stop_type": "limit" if event.reason == "length" else "eos" if event.stop is None else "word",
            "stopping_word": event.stop or "",
            "tokens_cached": event.usage.prompt_tokens + predicted,
            "timings": self._tally.timings(),
            **self._tally.warnings(),
        }

    def probabilities(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """`completion_probabilities`, where any were asked for."""
        if not (logprobs and self._telling.scores):
            return {}
        shown = [_entry(each) | {"top_logprobs": [_entry(other) for other in each.top]} for each in logprobs]
        return {"completion_probabilities": shown}


def _framed(fields: dict[str, Any]) -> bytes:
    return b"data: " + encode(fields) + b"\n\n"


def _entry(entry: TokenLogprob) -> dict[str, Any]:
    return {"id": entry.token, **entry_of(entry)}


class LlamaChunks:
    """Pieces of content, then for each prompt one that says `stop` and has everything else; there is no [DONE]."""

    def __init__(self, telling: Telling, prompts: int) -> None:
        self._growing = [_Growing(telling, index) for index in range(prompts)]

    def chunk(self, event: Event) -> bytes:
        fields = self._growing[event.choice].add(event)
        return _framed(fields) if fields is not None else b""

    def progress(self, choice: int, told: dict[str, Any]) -> bytes:
        return _framed(self._growing[choice].chunk("", ()) | {"prompt_progress": told})

    def end(self) -> bytes:
        return b""


class LlamaWhole:
    """The same events as one body: a list where the prompts came as a list."""

    def __init__(self, telling: Telling, prompts: int, *, is_list: bool) -> None:
        self._growing = [_Growing(telling, index) for index in range(prompts)]
        self._bodies: list[dict[str, Any]] = [{} for _ in range(prompts)]
        self._is_list = is_list
        self._fields = telling.fields

    def add(self, event: Event) -> None:
        growing = self._growing[event.choice]
        fields = growing.add(event)
        if isinstance(event, Finished) and fields is not None:
            tokens = [entry.token for entry in growing.logprobs]
            body = fields | {"content": "".join(growing.text), "tokens": tokens}
            self._bodies[event.choice] = body | growing.probabilities(growing.logprobs)

    def body(self) -> bytes:
        bodies = [_only(self._fields, body) if self._fields else body for body in self._bodies]
        return encode(bodies if self._is_list else bodies[0])


def _only(fields: Sequence[str], body: dict[str, Any]) -> dict[str, Any]:
    """Those of `fields` that there are, by the names they were asked for."""
    told = {}
    for field in fields:
        value: Any = body
        for step in field.split("/"):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            told[field] = value
    return told
