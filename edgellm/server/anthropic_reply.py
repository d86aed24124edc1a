"""A model's events as Anthropic's message: a stream of named events (`MessageChunks`) or one body (`MessageWhole`)."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Reasoning, Started, Text, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.server.error_shape import anthropic_error
from edgellm.server.error_status import status_of
from edgellm.server.framing import SSE, Framing

encode = msgspec.json.encode
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def _failure(code: str, message: str) -> bytes:
    return b"event: error\ndata: " + anthropic_error(status_of(code), message) + b"\n\n"


ANTHROPIC = Framing(SSE, _PING, _failure)


def _message(model: str) -> dict[str, Any]:
    """A message before its first block."""
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(usage: Usage) -> dict[str, int]:
    """Anthropic counts what the cache had beside the input, not within it."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _ending(event: Finished) -> dict[str, str | None]:
    if event.reason == "stop" and event.stop is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": event.stop}
    return {"stop_reason": _REASONS[event.reason], "stop_sequence": None}


class MessageChunks:
    """message_start, then each block with its start, deltas and stop, then message_delta and message_stop."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._open = ""  # the type of the block that grows
        self._index = -1

    def chunk(self, event: Event) -> bytes:
        match event:
            case Text(text=text):
                return self._piece("text", b"text_delta", b"text", text)
            case Reasoning(text=text):
                return self._piece("thinking", b"thinking_delta", b"thinking", text)
            case ToolStart(id=call, name=name):
                return self._begin("tool_use", {"type": "tool_use", "id": call, "name": name, "input": {}})
            case ToolArguments(text=text):
                return self._delta(b"input_json_delta", b"partial_json", text) if text else b""
            case ToolEnd():
                return self._stop()
            case Started(prompt_tokens=prompt, cached_tokens=cached):
                message = _message(self._model) | {"usage": _usage(Usage(prompt, 0, cached))}
                return _named("message_start", {"message": message})
            case Finished():
                delta = {"delta": _ending(event), "usage": _usage(event.usage)}
                return self._stop() + _named("message_delta", delta) + _named("message_stop", {})
            case _:
                return b""

    def end(self) -> bytes:
        return b""

    def _piece(self, kind: str, delta: bytes, field: bytes, text: str) -> bytes:
        if not text:
            return b""
        before = b""
        if self._open != kind:
            empty = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            before = self._begin(kind, empty)
        return before + self._delta(delta, field, text)

    def _begin(self, kind: str, block: dict[str, Any]) -> bytes:
        before = self._stop()
        self._open = kind
        self._index += 1
        start = _named("content_block_start", {"index": self._index, "content_block": block})
        return before + start + (b"" if self._index else _PING)

    def _delta(self, kind: bytes, field: bytes, text: str) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b","%b":%b}}\n\n' % (self._index, kind, field, encode(text))
        )

    def _stop(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _named("content_block_stop", {"index": self._index})


def _named(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode({"type": name, **fields}))


class MessageWhole:
    """The same events as one `message` body."""

    def __init__(self, model: str) -> None:
        self._message = _message(model)
        self._blocks: list[dict[str, Any]] = []

    def add(self, event: Event) -> None:
        match event:
            case Text(text=text):
                self._grow("text", text)
            case Reasoning(text=text):
                self._grow("thinking", text)
            case ToolStart(id=call, name=name):
                self._blocks.append({"type": "tool_use", "id": call, "name": name, "input": ""})
            case ToolArguments(text=text):
                self._blocks[-1]["input"] += text
            case Finished():
                self._message |= _ending(event) | {"usage": _usage(event.usage)}
            case _:
                pass

    def body(self) -> bytes:
        return encode({**self._message, "content": [_complete(block) for block in self._blocks]})

    def _grow(self, kind: str, text: str) -> None:
        if not text:
            return
        if not self._blocks or self._blocks[-1]["type"] != kind:
            signature = {"signature": ""} if kind == "thinking" else {}
            self._blocks.append({"type": kind, kind: "", **signature})
        self._blocks[-1][kind] += text


def _complete(block: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments as the object they are; a call that was cut off in the midst of them is text."""
    if block["type"] != "tool_use":
        return block
    try:
        return block | {"input": msgspec.json.decode(block["input"] or "{}", type=dict[str, Any])}
    except msgspec.MsgspecError:
        return {"type": "text", "text": block["input"]}
