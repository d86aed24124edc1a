"""Messages that a template would refuse, or leave out in silence, come to stand where it shows them."""

from __future__ import annotations

import pytest

from edgellm.chat.seats import Seats, seated
from edgellm.chat.template import CHATML, ChatTemplate
from edgellm.messages import Message, TextPart, Tool, ToolCall, ToolResult, assistant, system, user

LAST_SYSTEM_WINS = """\
{%- set told = namespace(system='') -%}
{%- for message in messages if message.role == 'system' %}{% set told.system = message.content %}{% endfor -%}
[{{ told.system }}]
{%- for message in messages if message.role != 'system' %}<{{ message.role }}:{{ message.content }}>{% endfor -%}
"""
FIRST_SYSTEM_ONLY = """\
{%- for message in messages -%}
{%- if message.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning.') }}
{%- endif -%}
<{{ message.role }}:{{ message.content }}>
{%- endfor -%}
"""
TAKES_TURNS = """\
{%- for message in messages -%}
{%- if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif -%}
<{{ message.role }}:{{ message.content }}>
{%- endfor -%}
"""
DEVELOPER = Message("developer", (TextPart("two"),))
AGENT = (system("one"), DEVELOPER, user("place"), user("question"), system("late"), assistant("answer"), user("next"))


def render(source: str, *messages: Message) -> str:
    return ChatTemplate(source, "", "").render(messages, add_generation_prompt=False)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            LAST_SYSTEM_WINS,
            "[one\n\ntwo]<user:place><user:question><user:late><assistant:answer><user:next>",
        ),
        (
            FIRST_SYSTEM_ONLY,
            "<system:one\n\ntwo><user:place><user:question><user:late><assistant:answer><user:next>",
        ),
        (TAKES_TURNS, "<user:one\n\ntwo\n\nplace\n\nquestion\n\nlate><assistant:answer><user:next>"),
    ],
)
def test_nothing_that_was_said_is_left_out(source: str, expected: str) -> None:
    assert render(source, *AGENT) == expected


def test_a_template_that_shows_everything_is_given_everything() -> None:
    text = render(CHATML, *AGENT)
    assert [line.removeprefix("<|im_start|>") for line in text.splitlines() if "im_start" in line] == [
        "system",
        "system",
        "user",
        "user",
        "system",
        "assistant",
        "user",
    ]


def test_usual_conversations_are_not_looked_at() -> None:
    def asked() -> Seats:
        raise AssertionError("nobody needs to know")

    said = (user("a"), assistant("b"), user("c"))
    assert seated(said, asked) is said


def test_a_lone_instruction_where_there_is_no_place_for_it() -> None:
    assert render(TAKES_TURNS, system("one")) == "<user:one>"
    assert render(TAKES_TURNS, system("one"), user("two")) == "<user:one\n\ntwo>"


def test_calls_and_results_keep_their_order() -> None:
    call = Message("assistant", (ToolCall("c", "f", "{}"),))
    result = Message("tool", (ToolResult("c", "done"),))
    none = Seats(system=False, several=False, later=False, twice=False)
    said = (user("a"), assistant("look"), call, result, call, assistant("end"))
    roles = [message.role for message in seated(said, lambda: none)]
    assert roles == ["user", "assistant", "tool", "assistant", "assistant"]
    assert seated(said, lambda: none)[1].parts == (TextPart("look"), TextPart("\n\n"), ToolCall("c", "f", "{}"))


def test_tools_can_be_told_where_there_is_no_system_message() -> None:
    tools = [Tool("look_up", "finds", {})]
    text = ChatTemplate(TAKES_TURNS, "", "").render([system("one"), user("two")], tools=tools)
    assert "one" in text and "look_up" in text and "two" in text


def test_a_begun_answer_is_still_the_last_thing() -> None:
    text = ChatTemplate(TAKES_TURNS, "", "").render([system("one"), user("two"), assistant("thr")], continue_last=True)
    assert text == "<user:one\n\ntwo><assistant:thr"
