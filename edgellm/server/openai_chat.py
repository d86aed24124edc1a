"""The body of POST /v1/chat/completions, and the `ChatRequest` it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Message, Part, TextPart, Tool, ToolCall, ToolResult
from edgellm.request import ChatRequest, Conversation, SamplingParams
from edgellm.server.body import Body
from edgellm.server.openai_options import Limit, Options


class ContentPart(Body):
    type: str
    text: str | None = None
    refusal: str | None = None

    def words(self) -> str:
        if self.type not in ("text", "refusal"):
            raise Unsupported(f"Content parts of type {self.type[:50]!r} are not supported. Send text parts only.")
        text = self.text if self.type == "text" else self.refusal
        if text is None:
            raise RequestError(f"A content part of type {self.type!r} needs a {self.type!r} field.")
        return text


class FunctionCall(Body):
    name: str
    arguments: str = ""


class ToolCallBody(Body):
    id: str = ""
    function: FunctionCall


class MessageBody(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None

    def message(self) -> Message:
        texts = [self.content] if isinstance(self.content, str) else [part.words() for part in self.content or ()]
        if self.role == "tool":
            return Message("tool", (ToolResult(self.tool_call_id or "", "".join(texts)),))
        if self.content is None and self.role != "assistant":
            raise RequestError(f"A message of role {self.role!r} needs content.")
        parts: list[Part] = [TextPart(text) for text in texts]
        calls = self.tool_calls or () if self.role == "assistant" else ()
        parts += [ToolCall(call.id, call.function.name, call.function.arguments) for call in calls]
        return Message(self.role, tuple(parts))


class Function(Body):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.parameters or {})


class ToolBody(Body):
    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    name: str


class NamedTool(Body):
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"]


class ChatBody(Options):
    messages: Annotated[list[MessageBody], Field(min_length=1)]
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoice | NamedTool | None = None
    functions: list[Function] | None = None
    function_call: ToolChoice | NamedFunction | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    def request(self, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return ChatRequest(
            input=self._conversation(),
            logprobs=self._logprobs(),
            tools=tuple(self._tools()),
            tool_choice=self._tool_choice(),
            template_args=self.chat_template_kwargs or {},
            **self.request_fields(limit, recommended),
        )

    def _conversation(self) -> Conversation:
        messages = tuple(message.message() for message in self.messages)
        if self.continue_final_message and messages[-1].role != "assistant":
            raise RequestError("continue_final_message needs a last message of role 'assistant'.")
        return Conversation(messages, bool(self.continue_final_message))

    def _logprobs(self) -> int | None:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs to be true.")
        return (self.top_logprobs or 0) if self.logprobs else None

    def _tools(self) -> list[Tool]:
        functions = [tool.function for tool in self.tools or ()] + (self.functions or [])
        return [function.tool() for function in functions]

    def _tool_choice(self) -> str:
        choice = self.tool_choice if self.tool_choice is not None else self.function_call
        if isinstance(choice, NamedTool):
            return choice.function.name
        return choice.name if isinstance(choice, NamedFunction) else choice or "auto"
