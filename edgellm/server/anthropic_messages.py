"""The bodies of POST /v1/messages and /v1/messages/count_tokens, and the `ChatRequest` they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, system
from edgellm.request import ChatRequest, Conversation, Effort, Format, SamplingParams, SchemaFormat
from edgellm.server.anthropic_content import AnthropicMessage, Block, joined
from edgellm.server.body import Body, RequestBody, sampled, stops

_INT32 = 2**31 - 1


class AnthropicTool(Body):
    type: str | None = None
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> Tool:
        if self.type not in (None, "custom"):
            raise Unsupported(f"Tools of type {self.type[:50]!r} run at Anthropic's. Send tools of your own.")
        return Tool(self.name, self.description or "", self.input_schema or {}, bool(self.strict))


class AnthropicToolChoice(Body):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    def choice(self) -> str:
        if self.type != "tool":
            return "required" if self.type == "any" else self.type
        if not self.name:
            raise RequestError("tool_choice of type 'tool' needs a 'name' field.")
        return self.name


class Thinking(Body):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=0, le=_INT32)] | None = None


class OutputFormat(Body):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class CountBody(RequestBody):
    """What a conversation consists of."""

    model: str = ""
    messages: Annotated[list[AnthropicMessage], Field(min_length=1)]
    system: str | list[Block] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicToolChoice | None = None
    thinking: Thinking | None = None

    def conversation(self) -> Conversation:
        """A last message of the assistant's is gone on with. Raises RequestError or Unsupported."""
        first = [system(joined(self.system))] if self.system else []
        messages = (*first, *(message for body in self.messages for message in body.messages()))
        return Conversation(messages, _is_begun(messages[-1]))

    def template_args(self) -> dict[str, Any]:
        """What the template is told for the tokens to be counted."""
        return {} if self.thinking is None else {"enable_thinking": self._thinks()}

    def offered(self) -> tuple[Tool, ...]:
        """The tools, which a choice of none of them hides. Raises RequestError or Unsupported."""
        hidden = self.tool_choice is not None and self.tool_choice.type == "none"
        return () if hidden else tuple(tool.tool() for tool in self.tools or ())

    def _thinks(self) -> bool | None:
        return None if self.thinking is None else self.thinking.type != "disabled"


class MessagesBody(CountBody):
    max_tokens: Annotated[int, Field(ge=1, le=_INT32)]
    stop_sequences: Annotated[list[str], Field(max_length=16)] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Field(ge=-1, le=_INT32)] | None = None
    output_config: OutputConfig | None = None

    def request(self, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        choice = self.tool_choice
        top_k = None if self.top_k is None else max(0, self.top_k)
        given = {"temperature": self.temperature, "top_p": self.top_p, "top_k": top_k}
        return ChatRequest(
            input=self.conversation(),
            model=self.model,
            sampling=sampled(recommended, given),
            max_tokens=self.max_tokens,
            stop=stops(self.stop_sequences),
            format=self._format(),
            tools=self.offered(),
            tool_choice=choice.choice() if choice else "auto",
            parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
            thinking=self._thinks(),
            reasoning_budget=self.thinking.budget_tokens if self.thinking and self._thinks() else None,
            reasoning_effort=self._effort(),
        )

    def _effort(self) -> Effort | None:
        effort = self.output_config.effort if self.output_config else None
        return "xhigh" if effort == "max" else effort

    def _format(self) -> Format | None:
        wanted = self.output_config.format if self.output_config else None
        return None if wanted is None else SchemaFormat(wanted.schema_, strict=True)


def _is_begun(last: Message) -> bool:
    if last.role != "assistant":
        return False
    if not all(isinstance(part, TextPart | ReasoningPart) for part in last.parts) or not last.text:
        raise RequestError("The last message is the assistant's: it must be text for the model to go on with.")
    return True
