"""Tools, calls and results in plain words, for models whose template has none for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from edgellm.chat.shape import parsed_arguments, shaped_tools
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.written_call import written_call
from edgellm.messages import Message, Part, TextPart, Tool, ToolCall, ToolResult

_INTRODUCTION = """\
You can call these tools; each line describes one:
<tools>
{tools}
</tools>
To call a tool, write its name and its arguments like this, and wait for the result:
{example}
Call a tool only where it helps to answer."""


def told_tools(messages: Sequence[Message], tools: Sequence[Tool], syntax: CallSyntax) -> tuple[Message, ...]:
    """`messages`, and what the tools are: in the system message or, if there is none, before the first words."""
    told = list(messages)
    lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in shaped_tools(tools) or ())
    introduction = _INTRODUCTION.format(tools=lines, example=_example(syntax))
    at = next((i for i, message in enumerate(told) if message.role in ("system", "developer")), None)
    if at is not None:
        told[at] = replace(told[at], parts=(*told[at].parts, TextPart(f"\n\n{introduction}")))
    elif (at := next((i for i, message in enumerate(told) if message.role == "user"), None)) is not None:
        told[at] = replace(told[at], parts=(TextPart(f"{introduction}\n\n"), *told[at].parts))
    else:
        told.insert(0, Message("system", (TextPart(introduction),)))
    return tuple(told)


def told_calls(messages: Sequence[Message], syntax: CallSyntax) -> tuple[Message, ...]:
    """`messages` of text alone, calls written out in `syntax`.

    Results are one message with the words behind them: many templates want the two sides to take turns.
    """
    told: list[Message] = []
    for message, after in zip(messages, ("", *(each.role for each in messages)), strict=False):
        for each in _told(message, syntax):
            if after == "tool" and each.role == "user" and told[-1].role == "user":
                told[-1] = replace(told[-1], parts=(*told[-1].parts, TextPart("\n"), *each.parts))
            else:
                told.append(each)
    return tuple(told)


def _example(syntax: CallSyntax) -> str:
    element = "VALUE".join(text.replace("{key}", "KEY") for text in syntax.element)
    inside = {"json": "{...}", "xml": element, "python": "KEY=VALUE", "bare": "KEY:VALUE"}
    before, after = (text.replace("{name}", "NAME") for text in (syntax.before, syntax.after))
    return f"{syntax.opening}{before}{inside[syntax.arguments]}{after}{syntax.closing}"


def _told(message: Message, syntax: CallSyntax) -> Iterator[Message]:
    """Results are the user's words to the model."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if results:
        words = "\n".join(f"<tool_response>\n{result.content}\n</tool_response>" for result in results)
        yield Message("user", (TextPart(words),))
    rest = tuple(_words(part, syntax) for part in message.parts if not isinstance(part, ToolResult))
    if rest or not results:
        yield Message(message.role if message.role != "tool" else "user", rest)


def _words(part: Part, syntax: CallSyntax) -> Part:
    if not isinstance(part, ToolCall):
        return part
    if syntax.arguments == "json":
        before, after = (text.replace("{name}", part.name) for text in (syntax.before, syntax.after))
        return TextPart(f"{syntax.opening}{before}{part.arguments or '{}'}{after}{syntax.closing}\n")
    arguments = parsed_arguments(part.arguments)
    return TextPart(written_call(syntax, part.name, arguments if isinstance(arguments, dict) else {}) + "\n")
