"""Anthropic's messages, made of content blocks, as ours, made of parts."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal

import msgspec

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import ImagePart, Message, Part, ReasoningPart, TextPart, ToolCall, ToolResult
from edgellm.server.body import Body


class ImageSource(Body):
    type: str
    media_type: str = ""
    data: str = ""

    def part(self) -> ImagePart:
        if self.type != "base64":
            raise Unsupported("Images can only be sent with a source of type 'base64'.")
        try:
            return ImagePart(base64.b64decode(self.data, validate=True), self.media_type)
        except (binascii.Error, ValueError):
            raise RequestError("The data of an image is not base64.") from None


class Block(Body):
    """A content block of any type; which fields it needs depends on `type`."""

    type: str
    text: str | None = None
    thinking: str | None = None
    data: str | None = None
    source: ImageSource | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | None = None
    is_error: bool | None = None

    def part(self) -> Part:
        """Raises RequestError where a field is missing and Unsupported for other types."""
        match self.type:
            case "text":
                return TextPart(self._needed("text", self.text))
            case "thinking":
                return ReasoningPart(self._needed("thinking", self.thinking))
            case "redacted_thinking":
                return ReasoningPart("")
            case "image":
                if self.source is None:
                    raise RequestError("A block of type 'image' needs a 'source' field.")
                return self.source.part()
            case "tool_use":
                arguments = msgspec.json.encode(self.input or {}).decode()
                return ToolCall(self._needed("id", self.id), self._needed("name", self.name), arguments)
            case "tool_result":
                said = joined(self.content)
                return ToolResult(
                    self._needed("tool_use_id", self.tool_use_id), f"Error: {said}" if self.is_error else said
                )
            case _:
                raise Unsupported(f"Content blocks of type {self.type[:50]!r} are not supported.")

    def _needed(self, field: str, value: str | None) -> str:
        if value is None:
            raise RequestError(f"A block of type {self.type[:50]!r} needs a {field!r} field.")
        return value


class AnthropicMessage(Body):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]

    def messages(self) -> list[Message]:
        """One message, or two where tool results come with words."""
        if isinstance(self.content, str):
            return [Message(self.role, (TextPart(self.content),))]
        parts = [block.part() for block in self.content]
        calls = any(isinstance(part, ToolCall) for part in parts)
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if (calls and self.role != "assistant") or (results and self.role != "user"):
            raise RequestError("Blocks of type 'tool_use' are the assistant's, those of type 'tool_result' the user's.")
        others = tuple(part for part in parts if not isinstance(part, ToolResult))
        spoken = [Message(self.role, others)] if others or not results else []
        return ([Message("tool", results)] if results else []) + spoken


def joined(content: str | list[Block] | None) -> str:
    """The text of `content`, which may have no blocks but text. Raises Unsupported for others."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [block.part() for block in content]
    if not all(isinstance(part, TextPart) for part in parts):
        raise Unsupported("Tool results and system prompts may hold blocks of type 'text' only.")
    return "".join(part.text for part in parts if isinstance(part, TextPart))
