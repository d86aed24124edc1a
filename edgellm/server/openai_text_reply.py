"""A model's events as OpenAI's text completion: chunks (`TextChunks`) or one body (`TextWhole`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from edgellm.events import Event, Finished, Reasoning, Started, Text, TokenLogprob
from edgellm.server.openai_chunk import ChunkWriter, encode, heading
from edgellm.server.openai_logprobs import TextLogprobs
from edgellm.server.tally import Tally


class TextChunks:
    """Pieces of text, each choice opened by its prompt where that is echoed, then a finish reason with empty text.

    `echoes` is empty or has one text a prompt; choice c answers prompt c // n.
    """

    def __init__(self, model: str, n: int, prompts: int, echoes: Sequence[str], include_usage: bool) -> None:
        self._tally = Tally(n, prompts)
        self._writer = ChunkWriter(heading("cmpl", "text_completion", model), self._tally, include_usage)
        self._n = n
        self._echoes = echoes
        self._logprobs: dict[int, TextLogprobs] = {}

    def chunk(self, event: Event) -> bytes:
        match event:
            case Text() | Reasoning():
                return self._text(event)
            case Started(choice=choice):
                self._tally.start(event)
                return self._writer.piece(_piece(choice, self._echoes[choice // self._n])) if self._echoes else b""
            case Finished(choice=choice, reason=reason):
                self._tally.add(event)
                return self._writer.final_piece(_piece(choice, "", finish=b'"%b"' % reason.encode()))
            case _:
                return b""

    def end(self) -> bytes:
        return self._writer.end()

    def progress(self, choice: int, told: dict[str, Any]) -> bytes:
        return self._writer.progress(_piece(choice, ""), told)

    def _text(self, event: Text | Reasoning) -> bytes:
        if not event.text and not event.logprobs:
            return b""
        if not event.logprobs:
            return self._writer.piece(_piece(event.choice, event.text))
        shape = self._logprobs.setdefault(event.choice, TextLogprobs())
        return self._writer.piece(_piece(event.choice, event.text, encode(shape.take(event.logprobs))))


def _piece(choice: int, text: str, logprobs: bytes = b"null", finish: bytes = b"null") -> bytes:
    return b'{"text":%b,"index":%d,"logprobs":%b,"finish_reason":%b}' % (encode(text), choice, logprobs, finish)


class _Choice:
    """One choice as it grows."""

    def __init__(self, echo: str) -> None:
        self.text = [echo]
        self.logprobs: list[TokenLogprob] = []
        self.reason = "stop"

    def add(self, event: Event) -> None:
        match event:
            case Text(text=text, logprobs=logprobs) | Reasoning(text=text, logprobs=logprobs):
                self.text.append(text)
                self.logprobs += logprobs
            case Finished(reason=reason):
                self.reason = reason
            case _:
                pass

    def json(self, index: int, logprobs: bool) -> dict[str, Any]:
        shown = TextLogprobs().take(self.logprobs) if logprobs else None
        return {"text": "".join(self.text), "index": index, "logprobs": shown, "finish_reason": self.reason}


class TextWhole:
    """The same events as one `text_completion` body: of the `candidates` of each prompt the `n` likeliest ones."""

    def __init__(
        self, model: str, n: int, prompts: int, echoes: Sequence[str], logprobs: bool, candidates: int = 0
    ) -> None:
        self._n = n
        self._group = candidates or n
        self._tally = Tally(self._group, prompts)
        self._heading = heading("cmpl", "text_completion", model)
        self._choices = [_Choice(echoes[i // self._group] if echoes else "") for i in range(self._group * prompts)]
        self._logprobs = logprobs

    def add(self, event: Event) -> None:
        self._choices[event.choice].add(event)
        if isinstance(event, Started):
            self._tally.start(event)
        if isinstance(event, Finished):
            self._tally.add(event)

    def body(self) -> bytes:
        choices = [choice.json(i, self._logprobs) for i, choice in enumerate(self._best())]
        counts = {"usage": self._tally.usage(), "timings": self._tally.timings(), **self._tally.warnings()}
        return encode({**self._heading, "choices": choices, **counts})

    def _best(self) -> list[_Choice]:
        groups = [self._choices[i : i + self._group] for i in range(0, len(self._choices), self._group)]
        if self._n == self._group:
            return self._choices
        return [choice for group in groups for choice in sorted(group, key=_unlikeliness)[: self._n]]


def _unlikeliness(choice: _Choice) -> float:
    """The mean over its tokens; of one without any nobody can say, so it comes last."""
    return -sum(entry.logprob for entry in choice.logprobs) / len(choice.logprobs) if choice.logprobs else inf
