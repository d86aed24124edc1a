"""A `ChatRequest` as the JSON body of /v1/chat/completions or /v1/completions, in what the server there understands."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from edgellm.errors import Unsupported
from edgellm.messages import ImagePart, Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult
from edgellm.remote.flavour import Flavour
from edgellm.request import (
    ChatRequest,
    Conversation,
    Format,
    GrammarFormat,
    Infill,
    Input,
    JsonFormat,
    Prompt,
    SamplingParams,
    SchemaFormat,
    TokenIds,
)

CHAT, TEXT = "/chat/completions", "/completions"

_OPENAI_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_OTHER_SAMPLING = {
    "edgellm": ("top_k", "min_p", "typical_p", "repetition_penalty", "penalty_window"),
    "llama-server": ("top_k", "min_p", "typical_p", "repetition_penalty", "penalty_window"),
    "vllm": ("top_k", "min_p", "repetition_penalty"),
    "other": (),
}
_SPELLED = {
    "edgellm": {"penalty_window": "repeat_last_n"},
    "llama-server": {"penalty_window": "repeat_last_n", "repetition_penalty": "repeat_penalty"},
}


def path_of(input: Input) -> str:
    return CHAT if isinstance(input, Conversation) else TEXT


def body_of(request: ChatRequest, name: str, flavour: Flavour) -> dict[str, Any]:
    """Streamed, with usage. Raises Unsupported for what the server's dialect cannot say."""
    body: dict[str, Any] = {"model": name, "stream": True, "stream_options": {"include_usage": True}}
    body |= _sampling(request.sampling, flavour) | _length(request, flavour) | _format(request.format, flavour)
    body |= {"n": request.n} if request.n != 1 else {}
    if isinstance(request.input, Conversation):
        return body | _conversation(request.input, flavour) | _tools(request) | _thinking(request, flavour)
    return body | _text(request.input) | ({} if request.logprobs is None else {"logprobs": request.logprobs})


def messages_of(input: Conversation) -> list[dict[str, Any]]:
    return [each for message in input.messages for each in _message(message)]


def tools_of(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _sampling(given: SamplingParams, flavour: Flavour) -> dict[str, Any]:
    """Everything where the server knows it all, so that it is taken at its word; else what is not neutral."""
    names = (*_OPENAI_SAMPLING, *_OTHER_SAMPLING[flavour])
    neutral = SamplingParams(top_p=1.0)
    spelled = _SPELLED.get(flavour, {})
    said = {
        spelled.get(name, name): getattr(given, name)
        for name in names
        if flavour == "edgellm" or name == "temperature" or getattr(given, name) != getattr(neutral, name)
    }
    said |= {"logit_bias": {str(token): bias for token, bias in given.logit_bias.items()}} if given.logit_bias else {}
    return said | ({"seed": given.seed} if given.seed is not None else {})


def _length(request: ChatRequest, flavour: Flavour) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    elif not isinstance(request.input, Conversation) and flavour in ("edgellm", "llama-server"):
        body["max_tokens"] = -1  # a completion's default is 16
    if request.stop:
        body["stop"] = list(request.stop)
    if request.stop_token_ids:
        body["stop_token_ids"] = list(request.stop_token_ids)
    if request.ignore_eos:
        body["ignore_eos"] = True
    if flavour == "edgellm":
        body |= {"priority": request.priority, "speculation": request.speculation}
    return body


def _conversation(input: Conversation, flavour: Flavour) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": messages_of(input)}
    if flavour in ("edgellm", "llama-server"):
        body["return_progress"] = True
    if input.continue_last and flavour != "llama-server":  # which does so of its own accord
        body["continue_final_message"] = True
        if flavour == "vllm":
            body["add_generation_prompt"] = False
    return body


def _text(input: Input) -> dict[str, Any]:
    match input:
        case Prompt(text=text):
            return {"prompt": text}
        case TokenIds(ids=ids):
            return {"prompt": list(ids)}
        case Infill(prefix=prefix, suffix=suffix):
            return {"prompt": prefix, "suffix": suffix}
        case Conversation():
            raise AssertionError("a conversation is asked of the other path")


def _message(message: Message) -> Iterator[dict[str, Any]]:
    """A result of a tool is a message of its own."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        yield {"role": "tool", "tool_call_id": result.id, "content": result.content}
    if results and len(results) == len(message.parts):
        return
    said: dict[str, Any] = {"role": message.role, "content": _content(message)}
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    yield said | ({"reasoning_content": thoughts} if thoughts else {}) | ({"tool_calls": calls} if calls else {})


def _content(message: Message) -> str | list[dict[str, Any]] | None:
    if not any(isinstance(part, ImagePart) for part in message.parts):
        text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        return text or (None if any(isinstance(part, ToolCall) for part in message.parts) else "")
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart):
            data = base64.b64encode(part.data).decode()
            parts.append({"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}})
    return parts


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _function(tool: Tool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return said | ({"strict": True} if tool.strict else {})


def _tools(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    if not request.tools:
        return body
    choice = request.tool_choice
    named = choice not in ("auto", "none", "required")
    body["tools"] = tools_of(request.tools)
    body["tool_choice"] = {"type": "function", "function": {"name": choice}} if named else choice
    return body | ({} if request.parallel_tool_calls is None else {"parallel_tool_calls": request.parallel_tool_calls})


def _thinking(request: ChatRequest, flavour: Flavour) -> dict[str, Any]:
    args = dict(request.template_args)
    if request.thinking is not None:
        args.setdefault("enable_thinking", request.thinking)
    body: dict[str, Any] = {"chat_template_kwargs": args} if args and flavour != "other" else {}
    if request.reasoning_effort is not None or (request.thinking is False and flavour in ("edgellm", "other")):
        body["reasoning_effort"] = "none" if request.thinking is False else request.reasoning_effort
    if request.reasoning_budget is not None:
        body["thinking_budget_tokens" if flavour == "llama-server" else "reasoning_budget"] = request.reasoning_budget
    return body


def _format(format: Format | None, flavour: Flavour) -> dict[str, Any]:
    match format:
        case None:
            return {}
        case JsonFormat():
            return {"response_format": {"type": "json_object"}}
        case SchemaFormat(schema=schema, strict=strict):
            named = {"name": "answer", "schema": schema, "strict": strict}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case GrammarFormat(grammar=grammar, syntax=syntax):
            if flavour not in ("edgellm", "vllm"):
                raise Unsupported("this server takes no grammars in these notations; ask for JSON, or for a schema")
            return {"structured_outputs": {"regex" if syntax == "regex" else "grammar": grammar}}
