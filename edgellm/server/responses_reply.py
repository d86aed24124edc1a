"""A model's events as OpenAI's response: numbered events (`ResponseChunks`) or one body (`ResponseWhole`)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Started
from edgellm.model import ModelInfo
from edgellm.request import ChatRequest
from edgellm.server.error_status import status_of
from edgellm.server.framing import SSE, Framing
from edgellm.server.responses_body import ResponsesBody
from edgellm.server.responses_output import Output, Step
from edgellm.server.responses_tools import Offered
from edgellm.server.tally import Tally

encode = msgspec.json.encode
Keep = Callable[[dict[str, Any]], None]
"""Told a response that is complete."""

_PING = b": ping\n\n"
_FAILURES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


def opening(body: ResponsesBody, asked: ChatRequest, info: ModelInfo) -> dict[str, Any]:
    """A response before its first item: what was asked for, as it was understood."""
    told = body.model_dump(include={"tools", "tool_choice", "text", "reasoning"}, exclude_none=True, by_alias=True)
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": asked.max_tokens,
        "metadata": body.metadata or {},
        "model": info.name,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {"effort": None, "summary": None} | told.get("reasoning", {}),
        "service_tier": "default",
        "store": body.store is not False,
        "temperature": asked.sampling.temperature,
        "text": {"format": {"type": "text"}} | told.get("text", {}),
        "tool_choice": told.get("tool_choice", "auto"),
        "tools": told.get("tools", []),
        "top_logprobs": body.top_logprobs or 0,
        "top_p": asked.sampling.top_p,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
    }


class _Growing:
    """A response as it comes to be."""

    def __init__(self, response: dict[str, Any], keep: Keep, tools: Offered) -> None:
        self.response = response
        self._keep = keep
        self._output = Output(tools.places)
        self._warnings = tools.warnings
        self._tally = Tally(1)

    def add(self, event: Event) -> list[Step]:
        if isinstance(event, Started):
            self._tally.start(event)
            return []
        steps = self._output.add(event)
        if isinstance(event, Finished):
            self._finish(event)
        return steps

    def fail(self, code: str, message: str) -> list[Step]:
        steps = self._output.close("incomplete")
        known = code if code == "context_length_exceeded" else _FAILURES.get(status_of(code), "server_error")
        self.response |= {"status": "failed", "error": {"code": known, "message": message}}
        self.response["output"] = self._output.items
        return steps

    def _finish(self, event: Finished) -> None:
        self._tally.add(event)
        is_cut = event.reason == "length"
        self.response |= {
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": self._output.items,
            "usage": _usage(self._tally.usage()),
            "timings": self._tally.timings(),
        }
        warnings = [*self._warnings, *self._tally.warnings().get("warnings", ())]
        self.response |= {"warnings": warnings} if warnings else {}
        self._keep(self.response)


def _usage(counts: dict[str, Any]) -> dict[str, Any]:
    """The same counts by the names they have here."""
    reasoning = counts.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    cached = counts["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": counts["total_tokens"],
    }


class ResponseChunks:
    """response.created and in_progress; each item with its added, deltas and done; then how it ended."""

    def __init__(self, response: dict[str, Any], keep: Keep, tools: Offered) -> None:
        self._growing = _Growing(response, keep, tools)
        self._number = 0

    @property
    def framing(self) -> Framing:
        return Framing(SSE, _PING, self._failure)

    def chunk(self, event: Event) -> bytes:
        steps = self._growing.add(event)
        if isinstance(event, Started) and not self._number:
            steps = [self._whole("created"), self._whole("in_progress")]
        if isinstance(event, Finished):
            name, fields = self._whole(self._growing.response["status"])
            steps = [*steps, (name, fields | {"timings": self._growing.response["timings"]})]
        return self._written(steps)

    def end(self) -> bytes:
        return b""

    def progress(self, choice: int, told: dict[str, Any]) -> bytes:
        name, fields = self._whole("in_progress")
        return self._written([(name, fields | {"prompt_progress": told})])

    def _failure(self, code: str, message: str) -> bytes:
        begun = [] if self._number else [self._whole("created")]
        return self._written([*begun, *self._growing.fail(code, message), self._whole("failed")])

    def _whole(self, name: str) -> Step:
        return name, {"response": dict(self._growing.response)}

    def _written(self, steps: list[Step]) -> bytes:
        return b"".join(self._framed(*step) for step in steps)

    def _framed(self, name: str, fields: dict[str, Any]) -> bytes:
        kind = f"response.{name}"
        data = encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


class ResponseWhole:
    """The same events as one `response` body."""

    def __init__(self, response: dict[str, Any], keep: Keep, tools: Offered) -> None:
        self._growing = _Growing(response, keep, tools)

    def add(self, event: Event) -> None:
        self._growing.add(event)

    def body(self) -> bytes:
        return encode(self._growing.response)
