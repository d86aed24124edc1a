"""The items of OpenAI's Responses, which a conversation consists of there, as messages made of parts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Message, Part, ReasoningPart, TextPart, ToolCall, ToolResult
from edgellm.server.body import Body
from edgellm.server.responses_tools import INPUT, Place

_TEXTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text")
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}
# An assistant's message has its thoughts first, then words, then calls.
_ORDER: dict[type[Part], int] = {ReasoningPart: 0, TextPart: 1, ToolCall: 2}


class ItemPart(Body):
    type: str
    text: str | None = None
    refusal: str | None = None

    def words(self) -> str:
        if self.type not in (*_TEXTS, "refusal"):
            raise Unsupported(f"Content parts of type {self.type[:50]!r} are not supported. Send text parts only.")
        text = self.refusal if self.type == "refusal" else self.text
        if text is None:
            field = "refusal" if self.type == "refusal" else "text"
            raise RequestError(f"A content part of type {self.type!r} needs a {field!r} field.")
        return text


class Item(Body):
    """An item of any type; which fields it needs depends on `type`, which a message may leave out."""

    type: str | None = None
    id: str | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[ItemPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[ItemPart] | None = None
    summary: list[ItemPart] | None = None
    status: str | None = None

    @property
    def kind(self) -> str:
        return self.type or "message"

    def message(self) -> Message:
        """Raises RequestError where a field is missing and Unsupported for other types."""
        match self.kind:
            case "message":
                if self.role is None:
                    raise RequestError("An item of type 'message' needs a 'role' field.")
                return Message(self.role, (TextPart(_joined(self._needed("content", self.content))),))
            case "function_call" | "custom_tool_call":
                return Message("assistant", (self._call(),))
            case "function_call_output" | "custom_tool_call_output":
                result = _joined(self._needed("output", self.output))
                return Message("tool", (ToolResult(self._needed("call_id", self.call_id), result),))
            case "reasoning":
                thought = _joined(self.content or self.summary or "")
                return Message("assistant", (ReasoningPart(thought),) if thought else ())
            case _:
                raise Unsupported(f"Items of type {self.kind[:50]!r} are not supported.")

    def _call(self) -> ToolCall:
        place = Place(self._needed("name", self.name), self.namespace or "")
        arguments = self.arguments or "{}"
        if self.kind == "custom_tool_call":
            arguments = msgspec.json.encode({INPUT: self._needed("input", self.input)}).decode()
        return ToolCall(self._needed("call_id", self.call_id), place.inner, arguments)

    def kept(self) -> dict[str, Any]:
        """The item as it is told when somebody asks for it: with an id, and text in parts."""
        fields = self.model_dump(exclude_none=True) | {"type": self.kind}
        fields.setdefault("id", f"{_PREFIXES.get(self.kind, 'item')}_{secrets.token_hex(12)}")
        if self.kind == "message":
            fields.setdefault("status", "completed")
            if isinstance(self.content, str):
                part = "output_text" if self.role == "assistant" else "input_text"
                fields["content"] = [{"type": part, "text": self.content}]
        return fields

    def _needed(self, field: str, value: Any) -> Any:
        if value is None:
            raise RequestError(f"An item of type {self.kind[:50]!r} needs a {field!r} field.")
        return value


def messages_of(items: Iterable[Item]) -> tuple[Message, ...]:
    """What belongs to one message of the assistant's comes as several items: those are joined here."""
    messages: list[Message] = []
    for item in items:
        message = item.message()
        if messages and _goes_on(messages[-1], message):
            message = Message("assistant", messages.pop().parts + message.parts)
        if message.parts:
            messages.append(message)
    return tuple(messages)


def _goes_on(last: Message, message: Message) -> bool:
    if last.role != "assistant" or message.role != "assistant" or not message.parts:
        return False
    before, now = _ORDER[type(last.parts[-1])], _ORDER[type(message.parts[0])]
    return before < now or (before == now and isinstance(message.parts[0], ToolCall))


def _joined(content: str | Sequence[ItemPart]) -> str:
    return content if isinstance(content, str) else "".join(part.words() for part in content)
