"""`seated`: messages where a template has places for them, so that it neither refuses one nor silently leaves it out.

Agents put instructions in several messages and into the midst of a conversation, and say several things in a row. Many
templates were written for one system message, and for sides that take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from edgellm.messages import Message, TextPart, ToolCall, ToolResult, assistant, system, user

_GAP = TextPart("\n\n")
_ONE, _TWO = "probe_first", "probe_second"


class Seats(msgspec.Struct, frozen=True):
    """What of this a template shows: a system message, several of them, later ones, a side that speaks twice."""

    system: bool
    several: bool
    later: bool
    twice: bool


def seats_of(render: Callable[[Sequence[Message]], str | None]) -> Seats:
    """Found out by rendering; `render` gives None where the template refuses."""

    def shows(*messages: Message) -> bool:
        text = render(messages) or ""
        return all(message.text in text for message in messages if message.text.startswith("probe"))

    has_system = shows(system(_ONE), user("hello"))
    first = (system(_ONE),) if has_system else ()
    later = ((user("a"), system(_TWO)), (user("a"), assistant("b"), system(_TWO), user("c")))
    return Seats(
        system=has_system,
        several=shows(system(_ONE), system(_TWO), user("hello")),
        later=all(shows(*first, *messages) for messages in later),
        twice=shows(user(_ONE), user(_TWO)),
    )


def seated(messages: Sequence[Message], seats: Callable[[], Seats]) -> Sequence[Message]:
    """The same messages, where they are as every template has them; else as `seats` allow, no word left out.

    Instructions that have no place of their own become the user's words, where they stand.
    """
    if _is_usual(messages):
        return messages
    found = seats()
    begun = next((i for i, message in enumerate(messages) if not _instructs(message)), len(messages))
    first, rest = list(messages[:begun]), list(messages[begun:])
    if first and not found.several:
        first = [_joined(first)]
    if not found.system:
        first = [replace(message, role="user") for message in first]
    if not found.later:
        rest = [replace(message, role="user") if _instructs(message) else message for message in rest]
    return first + rest if found.twice else _in_turns([*first, *rest])


def _is_usual(messages: Sequence[Message]) -> bool:
    """At most one system message, at the start of a conversation whose sides take turns.

    Even that one has no place in some templates, which say so.
    """
    return not any(map(_instructs, messages)) and not any(
        _goes_on(before, message) for before, message in pairwise(messages)
    )


def _instructs(message: Message) -> bool:
    return message.role in ("system", "developer")


def _goes_on(last: Message, message: Message) -> bool:
    """Whether one side speaks again, and nothing lies between that would change its order."""
    if last.role != message.role or message.role not in ("user", "assistant"):
        return False
    return not any(isinstance(part, ToolCall | ToolResult) for part in last.parts)


def _in_turns(messages: Sequence[Message]) -> list[Message]:
    turns: list[Message] = []
    for message in messages:
        if turns and _goes_on(turns[-1], message):
            turns[-1] = _joined([turns[-1], message])
        else:
            turns.append(message)
    return turns


def _joined(messages: Sequence[Message]) -> Message:
    parts = list(messages[0].parts)
    for message in messages[1:]:
        parts += [_GAP, *message.parts]
    return replace(messages[0], parts=tuple(parts))
