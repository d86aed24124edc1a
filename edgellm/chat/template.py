"""`ChatTemplate`: a conversation as the one text that the model was trained to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from edgellm.chat.jinja import JinjaTemplate
from edgellm.chat.shape import CallShape, shaped_messages, shaped_tools
from edgellm.errors import RequestError, TemplateError, Unsupported
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
_SHAPES = (CallShape("", False), CallShape(None, False), CallShape("", True), CallShape(None, True))
_PROBE_CALL = ToolCall("probe0001", "probe_tool", '{"probe_key": "probe_value"}')
_PROBE = (
    user("hello"),
    Message("assistant", (_PROBE_CALL,)),
    Message("tool", (ToolResult(_PROBE_CALL.id, "probe_result"),)),
)
_PROBE_TOOLS = (Tool("probe_tool", "a tool", {"type": "object", "properties": {}}),)


class ChatTemplate:
    """The model's own template (`source`), or ChatML where it has none. Safe to use from any thread.

    `bos` and `eos` are the texts of the tokens that begin and end a text, "" where there are none. A source that
    cannot be read is told by the first rendering, so that such a model can still take raw prompts.
    """

    def __init__(self, source: str | None, bos: str, eos: str, *, now: Callable[[], datetime] = datetime.now) -> None:
        self._template = JinjaTemplate(CHATML if source is None else source, now)
        self._tokens = {"bos_token": bos, "eos_token": eos}

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

        Raises TemplateError where the template refuses the messages, Unsupported for images, and for tool calls where
        the template has no words for them, RequestError for arguments that cannot be.
        """
        mark = _continuation_mark(messages) if continue_last else ""
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
    def _call_shape(self) -> CallShape:
        """The first shape in which the template shows a call well, else at all."""
        renderings = {shape: text for shape in _SHAPES if (text := self._probe(shape)) is not None}
        shown = [shape for shape, text in renderings.items() if "probe_value" in text]
        if renderings and not shown:
            raise Unsupported(
                "The model's chat template has no words for tool calls; use a model that was taught tools."
            )
        # An object printed as it is comes out as Python would print it, in single quotes: not what models learn.
        well = [shape for shape in shown if "'probe_key'" not in renderings[shape]]
        return (well or shown or _SHAPES)[0]

    def _probe(self, shape: CallShape) -> str | None:
        try:
            return self._render(shaped_messages(_PROBE, shape), _PROBE_TOOLS, True, {})
        except TemplateError:
            return None


def _has_calls(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, ToolCall) for message in messages for part in message.parts)


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
