"""Messages and tools as the dicts that Hugging Face chat templates expect."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from edgellm.errors import Unsupported
from edgellm.messages import ImagePart, Message, TextPart, Tool, ToolCall, ToolResult


class CallShape(NamedTuple):
    """How a template wants a message with tool calls.

    `content` stands where such a message has no text (some templates ask for null, others fail on it);
    `text_arguments` gives the arguments as JSON text instead of an object.
    """

    content: str | None = ""
    text_arguments: bool = False


def shaped_messages(messages: Sequence[Message], shape: CallShape) -> list[dict[str, Any]]:
    """One dict a message; each tool result becomes a `tool` message of its own. Raises Unsupported for images."""
    names = {call.id: call.name for message in messages for call in _calls(message)}
    return [entry for message in messages for entry in _shaped(message, shape, names)]


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
        yield {"role": "tool", "tool_call_id": result.id, "content": result.content} | name
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    calls = _calls(message)
    if text or calls or not results:
        yield _spoken(message.role, text, calls, shape)


def _spoken(role: str, text: str, calls: list[ToolCall], shape: CallShape) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
    if calls:
        entry["content"] = text or shape.content
        entry["tool_calls"] = [_call(call, shape) for call in calls]
    return entry


def _call(call: ToolCall, shape: CallShape) -> dict[str, Any]:
    arguments = call.arguments if shape.text_arguments else parsed_arguments(call.arguments)
    return {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _function(tool: Tool) -> dict[str, Any]:
    # A copy: templates can call methods, and some change what they are given.
    parameters = copy.deepcopy(tool.parameters) or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}
