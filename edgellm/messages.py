"""What people and models say to each other: messages made of parts, and the tools a model may call."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    text: str


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """An image as encoded bytes, never a path or an address; `media_type` as in `image/png`."""

    data: bytes
    media_type: str


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning"):
    """What a model thought before the rest of its message; its template decides whether it is told again."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """A model's call of a tool; `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What the tool answered to the call with this `id`."""

    id: str
    content: str


Part = TextPart | ReasoningPart | ImagePart | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True):
    role: Role
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """All text parts joined; tool results count as text; thoughts, images and calls do not."""
        return "".join(_text(part) for part in self.parts)


def _text(part: Part) -> str:
    match part:
        case TextPart(text=text):
            return text
        case ToolResult(content=content):
            return content
        case _:
            return ""


def system(text: str) -> Message:
    return Message("system", (TextPart(text),))


def user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (TextPart(text),))


class Tool(msgspec.Struct, frozen=True):
    """A function a model may call; `parameters` is a JSON Schema object.

    With `strict`, a keyword of it that cannot be honoured is an error.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False
