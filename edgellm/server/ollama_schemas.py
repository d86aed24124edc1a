"""Ollama's reply bodies as the OpenAPI document shows them; replies themselves are written without these classes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class _Answer(BaseModel):
    """Durations are nanoseconds; they are missing where the model was only loaded or unloaded."""

    model: str
    created_at: str
    done: bool
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    warnings: list[str] = []


class OllamaSaid(BaseModel):
    role: Literal["assistant"]
    content: str
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class OllamaChatReply(_Answer):
    message: OllamaSaid


class OllamaGenerateReply(_Answer):
    response: str
    thinking: str | None = None


class OllamaDetails(BaseModel):
    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaTag(BaseModel):
    """`expires_at` and `context_length` are told of models in memory only, what follows of models of upstreams."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str | None = None
    context_length: int | None = None
    remote_model: str | None = None
    remote_host: str | None = None


class OllamaTagsReply(BaseModel):
    models: list[OllamaTag]


class OllamaShowReply(BaseModel):
    modified_at: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]


class OllamaVersionReply(BaseModel):
    """`version` is that of Ollama whose API is spoken."""

    version: str
    edgellm: str
