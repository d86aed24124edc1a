"""The body of POST /v1/chat/completions, and the `ChatRequest` it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Message, Part, ReasoningPart, TextPart, ToolResult
from edgellm.request import ChatRequest, Conversation, Effort, SamplingParams
from edgellm.server.body import Body
from edgellm.server.openai_options import Limit, Options
from edgellm.server.openai_tools import FunctionCall, ToolCallBody, ToolOptions


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


class MessageBody(Body):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def message(self) -> Message:
        texts = [self.content] if isinstance(self.content, str) else [part.words() for part in self.content or ()]
        if self.role == "tool":
            return Message("tool", (ToolResult(self.tool_call_id or "", "".join(texts)),))
        if self.role == "function":
            return Message("tool", (ToolResult(_old_id(self.name or ""), "".join(texts)),))
        if self.content is None and self.role != "assistant":
            raise RequestError(f"A message of role {self.role!r} needs content.")
        words = tuple(TextPart(text) for text in texts)
        return Message(self.role, (*self._thoughts(), *words, *self._calls()) if self.role == "assistant" else words)

    def _thoughts(self) -> Iterator[Part]:
        if thoughts := self.reasoning_content or self.reasoning:
            yield ReasoningPart(thoughts)

    def _calls(self) -> Iterator[Part]:
        for call in self.tool_calls or ():
            yield call.function.call(call.id)
        if self.function_call is not None:
            yield self.function_call.call(_old_id(self.function_call.name))


def _old_id(name: str) -> str:
    """Calls of functions had no ids: a result named its function."""
    return f"call_{name}"


class ChatBody(Options, ToolOptions):
    messages: Annotated[list[MessageBody], Field(min_length=1)]
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: Literal["none"] | Effort | None = None
    reasoning_budget: Limit | None = None
    reasoning_budget_tokens: Limit | None = None
    thinking_budget_tokens: Limit | None = None
    thinking_token_budget: Limit | None = None

    def request(self, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return ChatRequest(
            input=self._conversation(),
            logprobs=self._logprobs(),
            template_args=self.chat_template_kwargs or {},
            **self._thinking_fields(),
            **self.tool_fields(),
            **self.request_fields(limit, recommended),
        )

    def _conversation(self) -> Conversation:
        messages = tuple(message.message() for message in self.messages)
        if self.continue_final_message and messages[-1].role != "assistant":
            raise RequestError("continue_final_message needs a last message of role 'assistant'.")
        if self.continue_final_message and self.add_generation_prompt:
            raise RequestError("continue_final_message and add_generation_prompt cannot both be true.")
        return Conversation(messages, bool(self.continue_final_message))

    def _logprobs(self) -> int | None:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs to be true.")
        return (self.top_logprobs or 0) if self.logprobs else None

    def _thinking_fields(self) -> dict[str, Any]:
        """The switch by any of its names: OpenAI's, and what llama-server and vLLM have."""
        budgets = (
            self.reasoning_budget,
            self.reasoning_budget_tokens,
            self.thinking_budget_tokens,
            self.thinking_token_budget,
        )
        given = [budget for budget in budgets if budget is not None]
        effort = self.reasoning_effort
        args = self.chat_template_kwargs or {}
        switch = args.get("enable_thinking", args.get("thinking"))
        return {
            "thinking": False if effort == "none" else switch if isinstance(switch, bool) else None,
            "reasoning_effort": None if effort == "none" else effort,
            "reasoning_budget": given[0] if given and given[0] >= 0 else None,
        }
