"""`Guard`: control tokens written out in a message or a tool stay text; only the template's own count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from edgellm.messages import Message, Part, ReasoningPart, TextPart, Tool, ToolCall, ToolResult


class Guard:
    """Puts `mark` inside each of the `controls` wherever it is spelled out.

    The rendered text is then cut at the marks and tokenized piece by piece, so that no tokenizer sees the control token
    whole. Breaking it after its first character keeps the mark away from the ends that templates trim. A control token
    of one character cannot be broken and is left alone.
    """

    def __init__(self, controls: Iterable[str], mark: str) -> None:
        self._broken = [(text, text[0] + mark + text[1:]) for text in controls if len(text) > 1]

    def messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        return tuple(Message(message.role, tuple(map(self._part, message.parts))) for message in messages)

    def tools(self, tools: Sequence[Tool]) -> tuple[Tool, ...]:
        return tuple(
            Tool(self.text(tool.name), self.text(tool.description), self._value(tool.parameters), tool.strict)
            for tool in tools
        )

    def text(self, text: str) -> str:
        for control, broken in self._broken:
            while control in text:  # once is not enough where occurrences overlap
                text = text.replace(control, broken)
        return text

    def _part(self, part: Part) -> Part:
        match part:
            case TextPart(text=text):
                return TextPart(self.text(text))
            case ReasoningPart(text=text):
                return ReasoningPart(self.text(text))
            case ToolResult(id=id, content=content):
                return ToolResult(self.text(id), self.text(content))
            case ToolCall(id=id, name=name, arguments=arguments):
                return ToolCall(self.text(id), self.text(name), self._arguments(arguments))
        return part

    def _arguments(self, text: str) -> str:
        """JSON can spell a control token in escapes, so it is looked for in the values; unchanged text is kept."""
        try:
            value = json.loads(text)
            guarded = self._value(value)
            return text if guarded == value else json.dumps(guarded, ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.text(text)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self._value(key): self._value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._value(inner) for inner in value]
        return value
