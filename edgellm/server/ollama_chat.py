"""The body of POST /api/chat, and the `ChatRequest` it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from edgellm.errors import Unsupported
from edgellm.messages import Message, Part, ReasoningPart, TextPart, Tool, ToolCall, ToolResult
from edgellm.request import ChatRequest, Conversation, SamplingParams
from edgellm.server.body import Body
from edgellm.server.ollama_options import AnswerBody


class OllamaFunctionCall(Body):
    name: str
    arguments: dict[str, Any] = Field(default={})


class OllamaCall(Body):
    id: str | None = None
    function: OllamaFunctionCall


class OllamaMessage(Body):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OllamaFunction(Body):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Body):
    type: str = "function"
    function: OllamaFunction

    def tool(self) -> Tool:
        return Tool(self.function.name, self.function.description or "", self.function.parameters or {})


class OllamaChat(AnswerBody):
    messages: list[OllamaMessage] = Field(default=[])
    tools: list[OllamaTool] | None = None

    def request(self, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        calls = _OpenCalls()
        messages = tuple(_message(body, calls) for body in self.messages)
        tools = tuple(tool.tool() for tool in self.tools or ())
        continues = messages[-1].role == "assistant" and bool(messages[-1].text) and not self.messages[-1].tool_calls
        return self.asked(Conversation(messages, continues), recommended, tools=tools)


class _OpenCalls:
    """Calls that wait for their results: Ollama's results name the tool, if anything, and ours the call."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._made = 0

    def add(self, body: OllamaCall) -> ToolCall:
        self._made += 1
        arguments = msgspec.json.encode(body.function.arguments).decode()
        call = ToolCall(body.id or f"call_{self._made}", body.function.name, arguments)
        self._calls.append(call)
        return call

    def answered(self, id: str | None, name: str | None) -> str:
        """The id of the earliest call that has this id, or this name, or just waits."""
        for call in self._calls:
            if call.id == id or (id is None and name in (None, call.name)):
                self._calls.remove(call)
                return call.id
        return id or ""


def _message(body: OllamaMessage, calls: _OpenCalls) -> Message:
    if body.images:
        raise Unsupported("Images are not supported. Send text only.")
    if body.role == "tool":
        return Message("tool", (ToolResult(calls.answered(body.tool_call_id, body.tool_name), body.content or ""),))
    made = body.tool_calls or [] if body.role == "assistant" else []
    words: list[Part] = [TextPart(body.content or "")] if body.content or not made else []
    if body.thinking and body.role == "assistant":
        words.insert(0, ReasoningPart(body.thinking))
    return Message(body.role, (*words, *(calls.add(call) for call in made)))
