"""Messages and tools as the dicts that Hugging Face chat templates expect."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from edgellm.errors import Unsupported
from edgellm.messages import ImagePart, Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult

_SHORT = 9


class CallShape(NamedTuple):
    """How a template wants a message with tool calls.

    `content` stands where such a message has no text (some templates ask for null, others fail on it);
    `text_arguments` gives the arguments as JSON text instead of an object; `short_ids` makes nine letters and digits of
    each call's id; `single` gives each of several calls a message of its own, followed by its result.
    """

    content: str | None = ""
    text_arguments: bool = False
    short_ids: bool = False
    single: bool = False


def shaped_messages(messages: Sequence[Message], shape: CallShape) -> list[dict[str, Any]]:
    """One dict a message; each tool result becomes a `tool` message of its own. Raises Unsupported for images."""
    names = {call.id: call.name for message in messages for call in _calls(message)}
    shown = _one_call_each(messages) if shape.single else messages
    return [entry for message in shown for entry in _shaped(message, shape, names)]


def shaped_tools(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """None where there are no tools: templates ask `if tools` and `tools is not none` alike."""
    return [{"type": "function", "function": _function(tool)} for tool in tools] or None


def parsed_arguments(text: str) -> Any:
    """The arguments as an object; the text itself where a model wrote something that is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _calls(message: Message) -> list[ToolCall]:
    return [part for part in message.parts if isinstance(part, ToolCall)]


def _shaped(message: Message, shape: CallShape, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    if any(isinstance(part, ImagePart) for part in message.parts):
        raise Unsupported("This model reads text only; leave the image out, or use a model that can see.")
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        name = {"name": names[result.id]} if result.id in names else {}
        yield {"role": "tool", "tool_call_id": _id(result.id, shape), "content": result.content} | name
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    calls = _calls(message)
    if text or calls or not results:
        yield _thoughts(message, bool(text)) | _spoken(message.role, text, calls, shape)


def _thoughts(message: Message, spoken: bool) -> dict[str, Any]:
    """By both names that templates know; by the second (gpt-oss) only where nothing was said besides."""
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    if not thoughts:
        return {}
    return {"reasoning_content": thoughts} | ({} if spoken else {"thinking": thoughts})


def _spoken(role: str, text: str, calls: list[ToolCall], shape: CallShape) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
    if calls:
        entry["content"] = text or shape.content
        entry["tool_calls"] = [_call(call, shape) for call in calls]
    return entry


def _call(call: ToolCall, shape: CallShape) -> dict[str, Any]:
    arguments = call.arguments if shape.text_arguments else parsed_arguments(call.arguments)
    return {"type": "function", "id": _id(call.id, shape), "function": {"name": call.name, "arguments": arguments}}


def _id(id: str, shape: CallShape) -> str:
    if not shape.short_ids or (len(id) == _SHORT and id.isascii() and id.isalnum()):
        return id
    return hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()[:_SHORT]


def _one_call_each(messages: Sequence[Message]) -> Iterator[Message]:
    """Each call in a message of its own, its result behind it where it has one; words come before the first."""
    results = {part.id: part for message in messages for part in message.parts if isinstance(part, ToolResult)}
    moved: set[str] = set()
    for message in messages:
        calls = _calls(message)
        if len(calls) < 2:
            kept = tuple(part for part in message.parts if not (isinstance(part, ToolResult) and part.id in moved))
            if kept or not message.parts:
                yield replace(message, parts=kept)
            continue
        before = tuple(part for part in message.parts if not isinstance(part, ToolCall))
        for index, call in enumerate(calls):
            yield replace(message, parts=(*(() if index else before), call))
            if call.id in results and call.id not in moved:
                moved.add(call.id)
                yield Message("tool", (results[call.id],))


def _function(tool: Tool) -> dict[str, Any]:
    # A copy: templates can call methods, and some change what they are given.
    parameters = copy.deepcopy(tool.parameters) or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}
