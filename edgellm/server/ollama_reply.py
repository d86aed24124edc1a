"""A model's events in Ollama's words: lines of JSON (`Lines`), or one body (`OneLine`), of a chat or of plain text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from edgellm.events import Event, Finished, Reasoning, Started, Text, TokenLogprob, ToolArguments, ToolEnd, ToolStart
from edgellm.server.error_shape import ollama_error
from edgellm.server.framing import Framing
from edgellm.server.openai_logprobs import chat_logprobs

encode = msgspec.json.encode
OLLAMA = Framing(b"application/x-ndjson", b"", lambda code, message: ollama_error(message) + b"\n")
Shape = Callable[[str, str, list[dict[str, Any]]], dict[str, Any]]


def chat_shape(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What /api/chat calls an answer or a piece of it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    message |= {"thinking": thinking} if thinking else {}
    return {"message": message | ({"tool_calls": calls} if calls else {})}


def generate_shape(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What /api/generate calls it; there are no calls, for there are no tools."""
    return {"response": text} | ({"thinking": thinking} if thinking else {})


def loaded_body(model: str, shape: Shape, reason: Literal["load", "unload"]) -> bytes:
    """The answer to a request that asked for nothing but the model to be loaded, or let go."""
    return encode({"model": model, "created_at": now(), **shape("", "", []), "done": True, "done_reason": reason})


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Lines:
    """A line for each piece; the last one, with `done`, has the counts and durations."""

    def __init__(self, model: str, shape: Shape, begin_ns: int, warnings: tuple[str, ...] = ()) -> None:
        self._model = model
        self._shape = shape
        self._begin_ns = begin_ns
        self._call = _Call()
        self._warnings = warnings

    def chunk(self, event: Event) -> bytes:
        match event:
            case Text(text=text, logprobs=logprobs) if text or logprobs:
                return self._line(self._shape(text, "", []), logprobs)
            case Reasoning(text=text, logprobs=logprobs) if text or logprobs:
                return self._line(self._shape("", text, []), logprobs)
            case ToolStart() | ToolArguments():
                self._call.add(event)
                return b""
            case ToolEnd():
                return self._line(self._call.shaped(self._shape))
            case Started(warnings=warnings):
                self._warnings += warnings
                return b""
            case Finished():
                ending = _ending(event, self._begin_ns, self._warnings)
                return self._line(self._shape(self._call.rest(), "", []) | ending)
            case _:
                return b""

    def end(self) -> bytes:
        return b""

    def _line(self, fields: dict[str, Any], logprobs: Iterable[TokenLogprob] = ()) -> bytes:
        shown = {"logprobs": chat_logprobs(logprobs)["content"]} if logprobs else {}
        return encode({"model": self._model, "created_at": now(), "done": False, **fields, **shown}) + b"\n"


class OneLine:
    """The same events as one body."""

    def __init__(self, model: str, shape: Shape, begin_ns: int, warnings: tuple[str, ...] = ()) -> None:
        self._model = model
        self._shape = shape
        self._begin_ns = begin_ns
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._calls: list[dict[str, Any]] = []
        self._call = _Call()
        self._warnings = warnings
        self._end: dict[str, Any] = {}

    def add(self, event: Event) -> None:
        match event:
            case Text(text=text, logprobs=logprobs):
                self._text.append(text)
                self._logprobs += logprobs
            case Reasoning(text=text, logprobs=logprobs):
                self._thinking.append(text)
                self._logprobs += logprobs
            case ToolStart() | ToolArguments():
                self._call.add(event)
            case ToolEnd():
                message = self._call.shaped(chat_shape)["message"]
                self._text.append(message["content"])
                self._calls += message.get("tool_calls", [])
            case Started(warnings=warnings):
                self._warnings += warnings
            case Finished():
                self._text.append(self._call.rest())
                self._end = _ending(event, self._begin_ns, self._warnings)
            case _:
                pass

    def body(self) -> bytes:
        fields = self._shape("".join(self._text), "".join(self._thinking), self._calls)
        shown = {"logprobs": chat_logprobs(self._logprobs)["content"]} if self._logprobs else {}
        return encode({"model": self._model, "created_at": now(), **fields, **shown, **self._end})


class _Call:
    """A tool call as it grows: Ollama tells calls whole."""

    def __init__(self) -> None:
        self._start = ToolStart("", "")
        self._written = ""
        self._made = 0

    def add(self, event: ToolStart | ToolArguments) -> None:
        if isinstance(event, ToolStart):
            self._start = event
        else:
            self._written += event.text

    def rest(self) -> str:
        """What was written of a call that never ended."""
        written, self._written = self._written, ""
        return written

    def shaped(self, shape: Shape) -> dict[str, Any]:
        """The call in `shape`; or its arguments as text where they are no JSON object."""
        written = self.rest()
        try:
            arguments = msgspec.json.decode(written or "{}", type=dict[str, Any])
        except msgspec.MsgspecError:
            return shape(written, "", [])
        function = {"index": self._made, "name": self._start.name, "arguments": arguments}
        self._made += 1
        return shape("", "", [{"id": self._start.id, "function": function}])


def _ending(event: Finished, begin_ns: int, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Counts in tokens, durations in nanoseconds; the total is what the request took here, queue and all."""
    timings, usage = event.timings, event.usage
    return {
        "done": True,
        "done_reason": "length" if event.reason == "length" else "stop",
        "total_duration": time.perf_counter_ns() - begin_ns,
        "load_duration": _ns(timings.load_ms),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _ns(timings.prompt_ms),
        "eval_count": usage.completion_tokens,
        "eval_duration": _ns(timings.predicted_ms),
        **({"warnings": warnings} if warnings else {}),
    }


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
