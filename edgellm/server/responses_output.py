"""`Output`: a model's events as the output items of a response, and the steps by which they come to be."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Reasoning, Text, ToolArguments, ToolEnd, ToolStart
from edgellm.server.openai_logprobs import chat_logprobs
from edgellm.server.responses_tools import INPUT, Place

Step = tuple[str, dict[str, Any]]
"""The name of an event of OpenAI's, without "response.", and its fields."""


class Output:
    """`items` are complete but for the last, until its own end or `Finished`."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        """`places` are what the client calls the tools."""
        self.items: list[dict[str, Any]] = []
        self._places = places
        self._is_open = False
        self._written: list[str] = []
        self._logprobs: list[dict[str, Any]] = []

    def add(self, event: Event) -> list[Step]:
        match event:
            case Text() if event.text or event.logprobs:
                return [*self._opened("message"), self._text(event)]
            case Reasoning(text=text) if text:
                return [*self._opened("reasoning"), self._delta("reasoning_text.delta", text, content_index=0)]
            case ToolStart():
                return [*self.close("completed"), *self._begin(self._called(event))]
            case ToolArguments(text=text) if text and self._is_open:
                return self._argued(text)
            case ToolEnd():
                return self.close("completed")
            case Finished(reason=reason):
                nothing = [] if self.items else self._opened("message")
                return nothing + self.close("incomplete" if reason == "length" else "completed")
            case _:
                return []

    def close(self, status: str) -> list[Step]:
        """End the item that grows, if one does."""
        if not self._is_open:
            return []
        self._is_open = False
        item, text = self.items[-1], "".join(self._written)
        self._written = []
        item["status"] = status
        if item["type"] == "function_call":
            item["arguments"] = text
            steps = [self._step("function_call_arguments.done", arguments=text, name=item["name"])]
        elif item["type"] == "custom_tool_call":
            item["input"] = written = _free_input(text)
            name = "custom_tool_call_input"
            steps = [self._step(f"{name}.delta", delta=written), self._step(f"{name}.done", input=written)]
        else:
            steps = self._close_part(item, text)
        return [*steps, self._at("output_item.done", item=dict(item))]

    def _close_part(self, item: dict[str, Any], text: str) -> list[Step]:
        kind = "output_text" if item["type"] == "message" else "reasoning_text"
        part = _part(kind) | {"text": text}
        scores = {"logprobs": self._logprobs} if kind == "output_text" else {}
        self._logprobs = []
        item["content"] = [part | scores]
        return [
            self._step(f"{kind}.done", content_index=0, text=text, **scores),
            self._step("content_part.done", content_index=0, part=part | scores),
        ]

    def _opened(self, kind: str) -> list[Step]:
        """An item of type `kind` that grows: the last one, or a new one."""
        if self._is_open and self.items[-1]["type"] == kind:
            return []
        before = self.close("completed")
        if kind == "message":
            steps = self._begin({"id": _id("msg"), "type": kind, "role": "assistant", "content": []})
            part = _part("output_text")
        else:
            steps = self._begin({"id": _id("rs"), "type": kind, "summary": [], "content": []})
            part = _part("reasoning_text")
        return [*before, *steps, self._step("content_part.added", content_index=0, part=part)]

    def _begin(self, item: dict[str, Any]) -> list[Step]:
        item["status"] = "in_progress"
        self.items.append(item)
        self._is_open = True
        return [self._at("output_item.added", item=dict(item))]

    def _called(self, event: ToolStart) -> dict[str, Any]:
        place = self._places.get(event.name, Place(event.name))
        kind, id, blank = ("custom_tool_call", "ctc", "input") if place.custom else ("function_call", "fc", "arguments")
        space = {"namespace": place.namespace} if place.namespace else {}
        return {"id": _id(id), "type": kind, "call_id": event.id, "name": place.name, **space, blank: ""}

    def _argued(self, text: str) -> list[Step]:
        if self.items[-1]["type"] == "function_call":
            return [self._delta("function_call_arguments.delta", text)]
        self._written.append(text)  # of a custom tool, where the text is known once its JSON is whole
        return []

    def _text(self, event: Text) -> Step:
        scores = chat_logprobs(event.logprobs)["content"] if event.logprobs else []
        self._logprobs += scores
        return self._delta("output_text.delta", event.text, content_index=0, logprobs=scores)

    def _delta(self, name: str, text: str, /, **more: Any) -> Step:
        self._written.append(text)
        return self._step(name, delta=text, **more)

    def _step(self, name: str, /, **fields: Any) -> Step:
        return self._at(name, item_id=self.items[-1]["id"], **fields)

    def _at(self, name: str, /, **fields: Any) -> Step:
        return name, {"output_index": len(self.items) - 1, **fields}


def _free_input(arguments: str) -> str:
    """What was written to a custom tool; of arguments that broke off all there is."""
    try:
        return str(msgspec.json.decode(arguments, type=dict[str, Any])[INPUT])
    except (msgspec.MsgspecError, KeyError):
        return arguments


def _part(kind: str) -> dict[str, Any]:
    return {"type": kind, "text": ""} | ({"annotations": [], "logprobs": []} if kind == "output_text" else {})


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
