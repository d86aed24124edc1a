"""`ChatTemplate`: a conversation as the one text that the model was trained to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from edgellm.chat.jinja import JinjaTemplate
from edgellm.chat.seats import Seats, seated, seats_of
from edgellm.chat.shape import CallShape, shaped_messages, shaped_tools
from edgellm.chat.told_tools import told_calls, told_tools
from edgellm.chat.tools.family import Family, family_of
from edgellm.errors import RequestError, TemplateError
from edgellm.messages import Message, Tool, ToolCall, ToolResult, user

# For models that came without a template: the format most models know. It has no words for tools.
CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%}
"""

_RESERVED = frozenset({"messages", "tools", "add_generation_prompt"})

# In order of preference; what a template makes of each is found out by rendering `_PROBE`.
_SHAPES = tuple(
    CallShape(content, text, short, single)
    for single in (False, True)
    for short in (False, True)
    for text in (False, True)
    for content in ("", None)
)
_PROBE_CALLS = tuple(ToolCall(f"call_probe_000{i}", "probe_tool", '{"probe_key": "probe_value"}') for i in range(2))
_PROBE = (
    user("hello"),
    Message("assistant", _PROBE_CALLS),
    *(Message("tool", (ToolResult(call.id, "probe_result"),)) for call in _PROBE_CALLS),
)
_PROBE_TOOLS = (Tool("probe_tool", "a tool", {"type": "object", "properties": {}}),)


class ChatTemplate:
    """The model's own template (`source`), or ChatML where it has none. Safe to use from any thread.

    `bos` and `eos` are the texts of the tokens that begin and end a text, "" where there are none. A source that
    cannot be read is told by the first rendering, so that such a model can still take raw prompts.
    """

    def __init__(self, source: str | None, bos: str, eos: str, *, now: Callable[[], datetime] = datetime.now) -> None:
        self._template = JinjaTemplate(CHATML if source is None else source, now)
        self._source = source or CHATML
        self._tokens = {"bos_token": bos, "eos_token": eos}

    @property
    def parallel(self) -> bool:
        """Whether the template can show several calls in one message, so that the model was taught to make them."""
        return self._tells_calls or not self._call_shape.single

    @cached_property
    def family(self) -> Family:
        """How the model writes thoughts and calls: where the template has no words for them, as ours show it to."""
        found = family_of(self._source)
        if found.generic or not (self._tells_tools and self._tells_calls):
            return found
        plain = family_of("")
        return replace(plain, flow=replace(plain.flow, thinking=found.thinking))

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        continue_last: bool = False,
        add_generation_prompt: bool = True,
        template_args: Mapping[str, Any] | None = None,
    ) -> str:
        """The text to prefill; with `continue_last` it ends right after the last (assistant) message's content.

        Where the template has no words for tools they are told in ours. Raises TemplateError where the template refuses
        the messages, Unsupported for images, RequestError for arguments that cannot be.
        """
        mark = _continuation_mark(messages) if continue_last else ""
        if self._tells_calls and _has_calls(messages):
            messages = told_calls(messages, self.family.syntax)
        if tools and self._tells_tools:
            messages, tools = told_tools(messages, tools, self.family.syntax), ()
        messages = seated(messages, lambda: self._seats)
        arguments = _checked(template_args or {})
        shaped = shaped_messages(messages, self._call_shape if _has_calls(messages) else _SHAPES[0])
        if not continue_last:
            return self._render(shaped, tools, add_generation_prompt, arguments)
        shaped[-1]["content"] += mark
        text, found, _ = self._render(shaped, tools, False, arguments).rpartition(mark)
        if not found:
            raise TemplateError("The model's chat template leaves the last message out; it cannot be continued.")
        return text

    def _render(
        self, shaped: list[dict[str, Any]], tools: Sequence[Tool], prompt: bool, arguments: dict[str, Any]
    ) -> str:
        own = {"messages": shaped, "tools": shaped_tools(tools), "add_generation_prompt": prompt, "documents": None}
        context = self._tokens | own | arguments
        _check_unicode(context)
        return self._template.render(context)

    @cached_property
    def _seats(self) -> Seats:
        return seats_of(lambda messages: self._shown(shaped_messages(messages, _SHAPES[0])))

    @cached_property
    def _tells_tools(self) -> bool:
        """Whether the template passes over tools, so that they must be told in our words."""
        try:
            return "probe_tool" not in self._render(shaped_messages(_PROBE[:1], _SHAPES[0]), _PROBE_TOOLS, True, {})
        except TemplateError:
            return False

    @cached_property
    def _tells_calls(self) -> bool:
        """The same of calls; refused in every shape, they are told too if that is taken."""
        shown = [text for shape in _SHAPES if (text := self._probe(shape)) is not None]
        if any("probe_value" in text for text in shown):
            return False
        told = shaped_messages(told_calls(_PROBE, family_of("").syntax), _SHAPES[0])
        return bool(shown) or self._taken(told)

    @cached_property
    def _call_shape(self) -> CallShape:
        """The first shape in which the template shows calls well, else at all."""
        shown: CallShape | None = None
        for shape in _SHAPES:
            text = self._probe(shape)
            if text is None or text.count("probe_value") < len(_PROBE_CALLS):
                continue
            # An object printed as it is comes out as Python would print it, in single quotes: not what models learn.
            if "'probe_key'" not in text:
                return shape
            shown = shown or shape
        return shown or _SHAPES[0]

    def _taken(self, shaped: list[dict[str, Any]]) -> bool:
        return self._shown(shaped) is not None

    def _shown(self, shaped: list[dict[str, Any]]) -> str | None:
        try:
            return self._render(shaped, (), True, {})
        except TemplateError:
            return None

    def _probe(self, shape: CallShape) -> str | None:
        try:
            return self._render(shaped_messages(_PROBE, shape), _PROBE_TOOLS, True, {})
        except TemplateError:
            return None


def _has_calls(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.parts)


def _checked(template_args: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as plain data: templates can call methods of what they are given."""
    if taken := _RESERVED & template_args.keys():
        raise RequestError(f"template_args cannot set {', '.join(sorted(taken))}; use the request's own fields.")
    try:
        return dict(msgspec.to_builtins(dict(template_args)))
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"template_args must be plain JSON values: {error}") from error


def _check_unicode(context: dict[str, Any]) -> None:
    """minijinja would replace, without a word, what UTF-8 cannot hold."""
    try:
        json.dumps(context, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError("A message is not valid Unicode: it holds half of a surrogate pair.") from error


def _continuation_mark(messages: Sequence[Message]) -> str:
    """Private-use characters that stand nowhere in `messages`; no template trims them."""
    if not messages or messages[-1].role != "assistant" or _has_calls(messages[-1:]):
        raise RequestError("Only a last message by the assistant, without tool calls, can be continued.")
    mark = "\ue0ed\ue0ee"
    while any(mark in message.text for message in messages):
        mark += "\ue0ee"
    return mark
