"""ChatTemplate: conversations to text, going on with a last message, and the shapes that calls need."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.template import ChatTemplate
from edgellm.errors import RequestError, TemplateError
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult, assistant, system, user

LLAMA = """{{ bos_token }}
{%- for message in messages -%}
    {{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif -%}
"""

MISTRAL = """{{ bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- ' [INST] ' + message['content'] + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""

# Calls are shown by `show`, and only where `when` holds.
CALLS = """
{%- for m in messages %}
    {%- if m.tool_calls is defined and WHEN %}
        {%- for c in m.tool_calls %}{{- '[' + c.function.name + ' ' + SHOW + ']' }}{% endfor %}
    {%- else %}{{- m.role + ':' + m.content }};{% endif %}
{%- endfor %}"""

TALK = (user("Hi"), assistant("Hello!"), user("And?"))
CALLING = (
    user("Sum?"),
    Message("assistant", (ToolCall("c1", "add", '{"b": 1, "a": "é"}'),)),
    Message("tool", (ToolResult("c1", "3"),)),
)


def template(source: str | None) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>", now=lambda: datetime(2025, 1, 2))


def calls(show: str, when: str = "true") -> ChatTemplate:
    return template(CALLS.replace("WHEN", when).replace("SHOW", show))


def test_llama_style() -> None:
    assert template(LLAMA).render([system(" Be brief. "), user("Hi")]) == (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_mistral_style() -> None:
    assert template(MISTRAL).render(TALK) == "<s> [INST] Hi [/INST] Hello!</s> [INST] And? [/INST]"


def test_a_template_that_refuses_a_role_says_so_in_its_own_words() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        template(MISTRAL).render([assistant("x"), user("Hi")])


def test_instructions_without_a_role_of_their_own_are_the_users() -> None:
    assert template(MISTRAL).render([system("x"), user("Hi")]) == "<s> [INST] x\n\nHi [/INST]"


def test_a_model_without_a_template_gets_chatml() -> None:
    assert template(None).render([system("S"), *TALK]) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
        "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_empty_template_is_not_a_missing_one() -> None:
    assert template("").render(TALK) == ""


def test_without_a_generation_prompt() -> None:
    assert template(None).render([user("Hi")], add_generation_prompt=False) == "<|im_start|>user\nHi<|im_end|>\n"


def test_a_template_that_cannot_be_read_is_told_at_the_first_rendering() -> None:
    broken = template("{% if %}")
    with pytest.raises(TemplateError, match="cannot be read"):
        broken.render(TALK)


def test_tools_and_template_args_reach_the_template() -> None:
    source = "{{ tools | tojson if tools else 'none' }} {{ enable_thinking }}"
    assert template(source).render(TALK, template_args={"enable_thinking": False}) == "none False"
    assert '"name": "add"' in template(source).render(TALK, tools=[Tool("add")])


def test_template_args_may_give_another_bos() -> None:
    assert template("{{ bos_token }}").render(TALK, template_args={"bos_token": "X"}) == "X"


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt"])
def test_template_args_cannot_set_what_the_request_has_fields_for(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        template(None).render(TALK, template_args={name: 1})


def test_template_args_must_be_plain_data() -> None:
    with pytest.raises(RequestError, match="plain JSON"):
        template(None).render(TALK, template_args={"x": object()})


def test_a_template_cannot_change_the_callers_objects() -> None:
    mine: dict[str, Any] = {"list": [1], "map": {"a": 1}}
    tool = Tool("t", parameters={"type": "object"})
    source = "{{ list.append(2) }}{{ map.clear() }}{{ tools[0].function.parameters.clear() }}"
    template(source).render(TALK, tools=[tool], template_args=mine)
    assert mine == {"list": [1], "map": {"a": 1}}
    assert tool.parameters == {"type": "object"}


@pytest.mark.parametrize("source", [None, LLAMA, MISTRAL])
@pytest.mark.parametrize("content", ["The answer is", "ends in space ", "ends in newline\n", "", "Hi"])
def test_going_on_with_the_last_message_ends_right_after_its_content(source: str | None, content: str) -> None:
    text = template(source).render([user("Hi"), assistant(content)], continue_last=True)
    whole = template(source).render([user("Hi"), assistant(content + "@@")], add_generation_prompt=False)
    assert text == whole[: whole.rindex("@@")]
    assert text.endswith(content)


@given(st.text())
def test_going_on_works_for_any_content(content: str) -> None:
    content = content.encode("utf-8", "ignore").decode()
    text = template(None).render([user(content), assistant(content)], continue_last=True)
    assert text == f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n{content}"


def test_going_on_with_a_content_that_holds_the_mark_itself() -> None:
    content = "\ue0ed\ue0ee\ue0ee and \ue0ed"
    assert template(None).render([assistant(content)], continue_last=True) == f"<|im_start|>assistant\n{content}"


@pytest.mark.parametrize("messages", [(), TALK, (user("a"), CALLING[1])])
def test_only_a_last_assistant_message_without_calls_can_be_continued(messages: tuple[Message, ...]) -> None:
    with pytest.raises(RequestError, match="continued"):
        template(None).render(messages, continue_last=True)


def test_a_template_that_leaves_the_last_message_out_cannot_be_continued() -> None:
    with pytest.raises(TemplateError, match="leaves the last message out"):
        template("{{ messages[0].content }}").render([user("a"), assistant("b")], continue_last=True)


def test_calls_are_shown_as_objects_by_default() -> None:
    assert calls("c.function.arguments | tojson").render(CALLING) == 'user:Sum?;[add {"b": 1, "a": "é"}]tool:3;'


def test_a_template_that_joins_arguments_to_text_gets_text() -> None:
    assert "[add {\"b\": 1, \"a\": \"é\"}]" in calls("c.function.arguments").render(CALLING)  # fmt: skip
    assert "[add {\"b\": 1, \"a\": \"é\"}]" in calls("'' ~ c.function.arguments").render(CALLING)  # fmt: skip


def test_a_template_that_asks_for_null_content_gets_null() -> None:
    shown = calls("c.function.arguments | tojson", when="m.content is none").render(CALLING)
    assert '[add {"b": 1' in shown


def test_calls_are_never_dropped_in_silence() -> None:
    told = template(None).render(CALLING)
    assert '<tool_call>\n{"name": "add", "arguments": {"b": 1, "a": "é"}}\n</tool_call>' in told
    assert "<|im_start|>user\n<tool_response>\n3\n</tool_response>" in told


def test_a_template_that_fails_on_every_call_is_told_of_them_in_words() -> None:
    told = calls("raise_exception('no tools here')").render(CALLING)
    assert '{"name": "add", "arguments": {"b": 1, "a": "é"}}' in told
    assert "user:<tool_response>\n3\n</tool_response>;" in told


def test_half_a_surrogate_pair_is_refused_and_not_replaced() -> None:
    with pytest.raises(RequestError, match="Unicode"):
        template(None).render([user("a\ud83d")])


TOOL = Tool("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})


def test_tools_that_a_template_passes_over_are_told_in_the_system_message() -> None:
    told = template(None).render([system("Be brief."), user("Sum?")], tools=[TOOL])
    assert told.startswith("<|im_start|>system\nBe brief.\n\nYou can call these tools")
    assert '"name": "add"' in told
    assert '{"name": "NAME", "arguments": {...}}' in told


def test_without_a_system_message_they_come_before_the_first_words() -> None:
    told = template(None).render([user("Sum?")], tools=[TOOL])
    assert told.startswith("<|im_start|>user\nYou can call these tools")
    assert "helps to answer.\n\nSum?<|im_end|>" in told


def test_tools_that_a_template_shows_are_not_told_again() -> None:
    shows = template("{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}")
    assert "You can call" not in shows.render([user("Sum?")], tools=[TOOL])


TWO = (
    user("Sums?"),
    Message("assistant", (ToolCall("call_long_1", "add", '{"a": 1}'), ToolCall("call_long_2", "add", '{"a": 2}'))),
    Message("tool", (ToolResult("call_long_1", "one"),)),
    Message("tool", (ToolResult("call_long_2", "two"),)),
)


def test_a_template_that_takes_one_call_a_message_gets_them_apart_with_their_results() -> None:
    one = calls("c.function.arguments | tojson", when="(m.tool_calls | length == 1 or raise_exception('one!'))")
    assert one.render(TWO) == 'user:Sums?;[add {"a": 1}]tool:one;[add {"a": 2}]tool:two;'
    assert not one.parallel
    assert calls("c.function.arguments | tojson").parallel


def test_a_template_that_asks_for_short_ids_gets_the_same_one_for_a_call_and_its_result() -> None:
    source = """{% for m in messages %}{% for id in [m.tool_call_id] + (m.tool_calls or []) | map(attribute='id') | list
    if id %}{{ raise_exception('nine!') if id | length != 9 }}{{ id }};{% endfor %}
    {%- for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"""
    told = template(source).render(TWO)
    ids = [each for each in told.replace('{"a": 1}', "").replace('{"a": 2}', "").split(";") if each.strip()]
    assert len(ids) == 4 and set(ids[:2]) == set(ids[2:])


def test_thoughts_are_left_to_the_template() -> None:
    thinker = template("{% for m in messages %}{{ m.reasoning_content }}|{{ m.content }}{% endfor %}")
    assert thinker.render([Message("assistant", (ReasoningPart("hm"), TextPart("yes")))]) == "hm|yes"
    assert "hm" not in template(None).render([Message("assistant", (ReasoningPart("hm"), TextPart("yes")))])
