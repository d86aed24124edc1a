"""A model's events as llama-server's own completion: chunks (`LlamaChunks`) or one body (`LlamaWhole`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Reasoning, Started, Text, TokenLogprob
from edgellm.server.openai_logprobs import entry_of
from edgellm.server.tally import Tally

encode = msgspec.json.encode


class _Growing:
    """An answer as it comes to be; `settings` and `truncated` are told at its end. A `silent` one has no text."""

    def __init__(self, model: str, settings: dict[str, Any], *, truncated: bool, silent: bool) -> None:
        self._model = model
        self._settings = settings
        self._truncated = truncated
        self._silent = silent
        self._tally = Tally(1)
        self._prompt_tokens = 0
        self.text: list[str] = []
        self.logprobs: list[TokenLogprob] = []

    def add(self, event: Event) -> dict[str, Any] | None:
        """The chunk for `event`, if it has one."""
        match event:
            case Text(text=text, logprobs=logprobs) | Reasoning(text=text, logprobs=logprobs):
                if self._silent or not (text or logprobs):
                    return None
                self.text.append(text)
                self.logprobs += logprobs
                return self._chunk(text, logprobs)
            case Started(prompt_tokens=prompt):
                self._tally.start(event)
                self._prompt_tokens = prompt
            case Finished():
                self._tally.add(event)
                return self._ending(event)
            case _:
                pass
        return None

    def _chunk(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        tokens = [entry.token for entry in logprobs]
        head = {"index": 0, "content": text, "tokens": tokens, "stop": False, "id_slot": -1}
        return head | {"tokens_evaluated": self._prompt_tokens} | probabilities(logprobs)

    def _ending(self, event: Finished) -> dict[str, Any]:
        predicted = 0 if self._silent else event.usage.completion_tokens
        return {
            "index": 0,
            "content": "",
            "tokens": [],
            "id_slot": -1,
            "stop": True,
            "model": self._model,
            "tokens_predicted": predicted,
            "tokens_evaluated": event.usage.prompt_tokens,
            "generation_settings": self._settings,
            "has_new_line": any("\n" in text for text in self.text),
            "truncated": self._truncated,
            "stop_type": "limit" if event.reason == "length" else "eos" if event.stop is None else "word",
            "stopping_word": event.stop or "",
            "tokens_cached": event.usage.prompt_tokens + predicted,
            "timings": self._tally.timings(),
            **self._tally.warnings(),
        }


def probabilities(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """`completion_probabilities`, where any were asked for."""
    shown = [_entry(each) | {"top_logprobs": [_entry(other) for other in each.top]} for each in logprobs]
    return {"completion_probabilities": shown} if shown else {}


def _entry(entry: TokenLogprob) -> dict[str, Any]:
    return {"id": entry.token, **entry_of(entry)}


class LlamaChunks:
    """Pieces of content, then one that says `stop` and has everything else; there is no [DONE]."""

    def __init__(self, model: str, settings: dict[str, Any], *, truncated: bool, silent: bool) -> None:
        self._growing = _Growing(model, settings, truncated=truncated, silent=silent)

    def chunk(self, event: Event) -> bytes:
        fields = self._growing.add(event)
        return b"data: " + encode(fields) + b"\n\n" if fields is not None else b""

    def end(self) -> bytes:
        return b""


class LlamaWhole:
    """The same events as one body."""

    def __init__(self, model: str, settings: dict[str, Any], *, truncated: bool, silent: bool) -> None:
        self._growing = _Growing(model, settings, truncated=truncated, silent=silent)
        self._body: dict[str, Any] = {}

    def add(self, event: Event) -> None:
        fields = self._growing.add(event)
        if isinstance(event, Finished) and fields is not None:
            growing = self._growing
            tokens = [entry.token for entry in growing.logprobs]
            self._body = fields | {"content": "".join(growing.text), "tokens": tokens}
            self._body |= probabilities(growing.logprobs)

    def body(self) -> bytes:
        return encode(self._body)
