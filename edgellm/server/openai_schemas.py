"""OpenAI's reply bodies as the OpenAPI document shows them; replies themselves are written without these classes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class CachedTokens(BaseModel):
    cached_tokens: int


class UsageReply(BaseModel):
    """Cached tokens are part of the prompt's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class TimingsReply(BaseModel):
    """llama-server's figures: counts, milliseconds and tokens a second."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float
    draft_n: int = 0
    draft_n_accepted: int = 0


class CalledFunction(BaseModel):
    """`arguments` is JSON in a string."""

    name: str
    arguments: str


class CalledTool(BaseModel):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[CalledTool] | None = None
    function_call: CalledFunction | None = None


class ChatChoice(BaseModel):
    index: int
    message: AssistantMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"]


class _Completion(BaseModel):
    """`warnings` tell what was asked for and is not honoured."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    usage: UsageReply
    timings: TimingsReply
    warnings: list[str] = []


class ChatReply(_Completion):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class TextChoice(BaseModel):
    index: int
    text: str
    logprobs: dict[str, list[Any]] | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class TextReply(_Completion):
    object: Literal["text_completion"]
    choices: list[TextChoice]


class ModelMeta(BaseModel):
    n_ctx: int
    n_params: int
    size: int
    architecture: str
    quantization: str
    backend: str


class UpstreamReply(BaseModel):
    """Who has a model that is not on this machine; `problem` says why it does not answer."""

    name: str
    answers: bool
    problem: str


class ModelReply(BaseModel):
    """`meta` counts tokens, parameters and bytes; 0 and "" stand for what is not known."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    type: Literal["model"]
    display_name: str
    created_at: str
    meta: ModelMeta
    upstream: UpstreamReply | None = None


class ModelsReply(BaseModel):
    object: Literal["list"]
    data: list[ModelReply]


class StatusReply(BaseModel):
    """`models` is the load of each model in memory, by name."""

    status: str
    models: dict[str, Any] = {}
