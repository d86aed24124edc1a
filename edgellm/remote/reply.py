"""The lines of one streamed answer in OpenAI's dialect, read into `Event`s."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edgellm.errors import EdgeLLMError, UpstreamFailed
from edgellm.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    Reasoning,
    Started,
    Text,
    Timings,
    TokenLogprob,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
)
from edgellm.remote.refusal import broken_off

_REASONS: dict[str, FinishReason] = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}
_TIMED = frozenset(Timings.__struct_fields__)


class Reply:
    """Feed it lines; `done` once the server has said so. `asked` is when, by `time.perf_counter`."""

    def __init__(self, asked: float, choices: int = 1) -> None:
        self.done = False
        self.started = False
        self._asked = asked
        self._first = self._last = 0.0
        self._choices = {index: _Choice(index) for index in range(choices)}
        self._usage: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}

    def events(self, line: str) -> list[Event]:
        """What a line says. Raises EdgeLLMError where it tells of a failure, or is damaged."""
        if not line.startswith("data:"):
            return []
        data = line[5:].strip()
        if data == "[DONE]":
            self.done = True
            return []
        chunk = _parsed(data)
        if error := chunk.get("error"):
            raise broken_off(error)
        self._usage = _mapping(chunk.get("usage")) or self._usage
        self._timings = _mapping(chunk.get("timings")) or self._timings
        events = [event for choice in _list(chunk.get("choices")) for event in self._choice(choice)]
        progress = _mapping(chunk.get("prompt_progress"))
        if progress:
            events.append(Progress(_whole(progress.get("processed")), _whole(progress.get("total"))))
        return events

    def failed(self, error: EdgeLLMError) -> list[Event]:
        """How the choices end that are still open."""
        from edgellm.errors import details

        open_ones = [choice for choice in self._choices.values() if choice.reason is None]
        return [Failed(error.code, str(error), details(error), choice.index) for choice in open_ones]

    def finished(self) -> list[Event]:
        """The ends of all choices. Counts are told for all together: the first one has them.

        Raises UpstreamFailed where the answer broke off before the server said that it was complete.
        """
        if not self.done and any(choice.reason is None for choice in self._choices.values()):
            raise UpstreamFailed("the server broke off its answer. Try again; its own log may say why.")
        events: list[Event] = []
        for choice in self._choices.values():
            events += [] if choice.started else [choice.start()]
            events += choice.end_call()
            first = choice.index == 0
            usage = self._counted() if first else Usage(self._counted().prompt_tokens)
            timings = self._timed(usage) if first else Timings()
            events.append(Finished(choice.reason or "stop", usage, timings, choice.stop, choice.index))
        return events

    def _choice(self, told: Any) -> list[Event]:
        if not isinstance(told, dict):
            return []
        choice = self._choices.get(_whole(told.get("index")))
        if choice is None:
            return []
        events = choice.events(told)
        self.started = True
        if any(isinstance(event, Text | Reasoning | ToolStart | ToolArguments) for event in events):
            self._last = time.perf_counter()
            self._first = self._first or self._last
        return events

    def _counted(self) -> Usage:
        cached = _whole(_mapping(self._usage.get("prompt_tokens_details")).get("cached_tokens"))
        thought = _whole(_mapping(self._usage.get("completion_tokens_details")).get("reasoning_tokens"))
        prompt, answer = (_whole(self._usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        return Usage(prompt, answer, cached, thought)

    def _timed(self, usage: Usage) -> Timings:
        """The server's own word, where it has one; else what was seen from here."""
        told = {name: value for name, value in self._timings.items() if name in _TIMED}
        try:
            if "predicted_ms" in told:
                return msgspec.convert(told, Timings)
        except msgspec.ValidationError:
            pass
        return Timings(
            cache_n=usage.cached_tokens,
            prompt_n=usage.prompt_tokens - usage.cached_tokens,
            prompt_ms=1000 * max(0.0, self._first - self._asked),
            predicted_n=usage.completion_tokens,
            predicted_ms=1000 * (self._last - self._first),
        )


class _Choice:
    """One choice as it comes in."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.started = False
        self.reason: FinishReason | None = None
        self.stop: str | None = None
        self._part = -1
        self._kind: object = None
        self._call: object = None
        self._called = False

    def start(self) -> Started:
        self.started = True
        return Started(0, 0, self.index)

    def events(self, told: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = [] if self.started else [self.start()]
        delta = _mapping(told.get("delta"))
        scores = _scores(_mapping(told.get("logprobs")))
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        said = told.get("text") or delta.get("content")
        if thought:
            events += self._part_event(Reasoning, str(thought), scores)
        if said or (scores and not thought):
            events += self._part_event(Text, str(said or ""), scores if not thought else ())
        for call in _list(delta.get("tool_calls")):
            events += self._call_events(_mapping(call))
        if (reason := told.get("finish_reason")) is not None:
            meant = _REASONS.get(str(reason), "stop")
            self.reason = "tool_calls" if self._called and meant == "stop" else meant  # vLLM says stop of forced calls
            why = told.get("stop_reason")
            self.stop = why if isinstance(why, str) else None
            events += self.end_call()
        return events

    def end_call(self) -> list[Event]:
        if self._call is None:
            return []
        self._call = None
        return [ToolEnd(self.index, self._part)]

    def _part_event(
        self, kind: type[Text] | type[Reasoning], text: str, scores: tuple[TokenLogprob, ...]
    ) -> list[Event]:
        return [*self.end_call(), kind(text, self.index, self._part_of(kind), scores)]

    def _call_events(self, told: Mapping[str, Any]) -> list[Event]:
        """A call begins with an index that was not seen just before, or with an id of its own."""
        function, number = _mapping(told.get("function")), told.get("index", told.get("id"))
        events: list[Event] = []
        if self._call is None or (number is not None and number != self._call):
            events += self.end_call()
            self._call = number if number is not None else 0
            self._called = True
            self._kind = None
            part = self._part_of(ToolStart)
            events.append(ToolStart(str(told.get("id") or ""), str(function.get("name") or ""), self.index, part))
        if arguments := function.get("arguments"):
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            events.append(ToolArguments(text, self.index, self._part))
        return events

    def _part_of(self, kind: object) -> int:
        if kind is not self._kind:
            self._kind = kind
            self._part += 1
        return self._part


def _parsed(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError:
        chunk = None
    if not isinstance(chunk, dict):
        raise UpstreamFailed("the server broke off its answer with something that is not JSON")
    return chunk


def _scores(told: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """Of chat, a list of entries; of completions, parallel lists."""
    if entries := _list(told.get("content")):
        return tuple(_entry(_mapping(entry)) for entry in entries)
    tokens, values, tops = (_list(told.get(key)) for key in ("tokens", "token_logprobs", "top_logprobs"))
    return tuple(
        TokenLogprob(-1, str(token), str(token).encode(), _number(value), _text_top(tops, i))
        for i, (token, value) in enumerate(zip(tokens, values, strict=False))
    )


def _entry(told: Mapping[str, Any]) -> TokenLogprob:
    text, data, id = str(told.get("token", "")), told.get("bytes"), told.get("id")
    try:
        raw = bytes(data) if isinstance(data, list) else text.encode()
    except (TypeError, ValueError):
        raw = text.encode()
    top = tuple(_entry(_mapping(each)) for each in _list(told.get("top_logprobs")))
    return TokenLogprob(id if isinstance(id, int) else -1, text, raw, _number(told.get("logprob")), top)


def _text_top(tops: Sequence[Any], index: int) -> tuple[TokenLogprob, ...]:
    best = _mapping(tops[index]) if index < len(tops) else {}
    return tuple(TokenLogprob(-1, text, text.encode(), _number(value)) for text, value in best.items())


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
