"""The body of POST /v1/responses, and the `ChatRequest` it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Tool, system
from edgellm.request import ChatRequest, Conversation, Effort, Format, JsonFormat, SamplingParams, SchemaFormat
from edgellm.server.body import Body
from edgellm.server.openai_format import only_one
from edgellm.server.openai_options import Options
from edgellm.server.responses_items import Item, messages_of
from edgellm.server.responses_tools import ChosenTool, Offered, ToolBody, offered

_INT32 = 2**31 - 1
_LOGPROBS = "message.output_text.logprobs"


class TextFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    def format(self) -> Format | None:
        if self.type == "text":
            return None
        if self.type == "json_object":
            return JsonFormat()
        if self.schema_ is None:
            raise RequestError("text.format of type 'json_schema' needs a 'schema' field.")
        return SchemaFormat(self.schema_, bool(self.strict))


class TextConfig(Body):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfig(Body):
    effort: Literal["none"] | Effort | None = None
    summary: str | None = None


class InputBody(Options):
    """What a conversation consists of, and what else the model is shown."""

    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[ToolBody] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None

    def items(self) -> list[Item]:
        """What this request adds to the conversation."""
        if isinstance(self.input, str):
            return [Item(type="message", role="user", content=self.input)]
        return self.input or []

    def conversation(self, before: Sequence[Item]) -> Conversation:
        """All of it; `before` is what was said earlier. Raises RequestError or Unsupported."""
        messages = messages_of([*before, *self.items()])
        if not messages:
            raise RequestError("The body needs an 'input': a text, or a list of at least one item.")
        return Conversation(((system(self.instructions),) if self.instructions else ()) + messages)

    def offered(self) -> Offered:
        """All tools. Raises RequestError or Unsupported."""
        return offered(self.tools or ())

    def chosen(self) -> tuple[tuple[Tool, ...], str]:
        """The tools that may be called, and which of them must. Raises RequestError or Unsupported."""
        found, choice = self.offered(), self.tool_choice
        if not isinstance(choice, ChosenTool):
            return found.tools, choice or "auto"
        if choice.type == "allowed_tools":
            return found.only({tool.name for tool in choice.tools or ()}), choice.mode or "auto"
        if choice.type not in ("function", "custom"):
            raise Unsupported(f"tool_choice of type {choice.type[:50]!r} is not supported. Name a function.")
        if not choice.name:
            raise RequestError(f"tool_choice of type {choice.type!r} needs a 'name' field.")
        meant = found.only({choice.name})
        return found.tools, meant[0].name if meant else choice.name

    def thinking(self) -> dict[str, Any]:
        """The fields of `ChatRequest` that say whether, and how much, the model may think."""
        effort = self.reasoning.effort if self.reasoning else None
        if effort is None:
            return {}
        return {"thinking": False} if effort == "none" else {"thinking": True, "reasoning_effort": effort}


class ResponsesBody(InputBody):
    max_output_tokens: Annotated[int, Field(ge=1, le=_INT32)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[str] | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    background: bool | None = None
    conversation_: Any = Field(default=None, alias="conversation")
    prompt: Any = None

    def request(self, before: Sequence[Item], recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        self._check()
        tools, choice = self.chosen()
        return ChatRequest(
            input=self.conversation(before),
            logprobs=self._logprobs(),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=self.parallel_tool_calls,
            template_args=self.chat_template_kwargs or {},
            **self.thinking(),
            **self.request_fields(self.max_output_tokens, recommended),
        )

    def format(self) -> Format | None:
        named = self.text.format.format() if self.text and self.text.format else None
        return only_one([each for each in (super().format(), named) if each is not None])

    def _logprobs(self) -> int | None:
        wanted = _LOGPROBS in (self.include or ()) or self.top_logprobs
        return (self.top_logprobs or 0) if wanted else None

    def _check(self) -> None:
        for name, value in (("conversation", self.conversation_), ("prompt", self.prompt)):
            if value is not None:
                raise Unsupported(f"{name} names something that is kept at OpenAI's. Send it as input instead.")
        if self.background:
            raise Unsupported("background is not supported. Leave it out and wait for the answer, or stream it.")
        if self.choices > 1:
            raise Unsupported("A response has one answer. Leave n out, or use /v1/chat/completions.")
