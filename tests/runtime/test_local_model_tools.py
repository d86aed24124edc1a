"""Tools and thoughts through all of `LocalModel` on the fake backend: template, grammar, engine, parser, events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import jsonschema
import pytest

from edgellm.backends.fake import ByteVocabulary, FakeBackend, reply
from edgellm.config import ModelSettings
from edgellm.errors import RequestError
from edgellm.events import Event, Finished, Reasoning, Started, Text, ToolArguments, ToolEnd, ToolStart
from edgellm.messages import Tool
from edgellm.model import ModelInfo
from edgellm.request import GREEDY, ChatRequest, GrammarFormat, JsonFormat, SamplingParams, SchemaFormat, ask
from edgellm.runtime.local_model import LocalModel

ADD = Tool(
    "add",
    "Adds.",
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": [1, 2]}}, "required": ["a", "b"]},
)
TIME = Tool("time", "Tells it.", {"type": "object", "properties": {}})
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
THINKS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n{% if enable_thinking is false %}<think></think>{% elif opens %}<think>{% endif %}"
)


class Tagged(ByteVocabulary):
    """Has a token for the tag that begins a call."""

    TAG = 256 + 4
    template: str | None = "{# <tool_call> #}{{ tools | tojson if tools else '' }}" + THINKS

    def __len__(self) -> int:
        return super().__len__() + 1

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        ids = super().tokenize(text, special=special, add_bos=add_bos)
        spelled = list(b"<tool_call>")
        at = 0
        while at < len(ids):
            if ids[at : at + len(spelled)] == spelled:
                ids[at : at + len(spelled)] = [self.TAG]
            at += 1
        return ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b"<tool_call>" if token == self.TAG else super().piece(token, special=special)


class Thinker(ByteVocabulary):
    template: str | None = THINKS


@asynccontextmanager
async def opened(text: str, thinks: bool = False) -> AsyncIterator[LocalModel]:
    def build() -> FakeBackend:
        backend = FakeBackend(reply(text))
        if thinks:
            backend.vocabulary = Thinker()
        return backend

    model = LocalModel(build, ModelSettings(), ModelInfo(name="fake"))
    try:
        yield model
    finally:
        await model.aclose()


async def events_of(text: str, thinks: bool = False, **options: Any) -> list[Event]:
    given = {"sampling": GREEDY, "max_tokens": 400} | options
    async with opened(text, thinks) as model:
        return [event async for event in model.stream(ask("?", **given))]


def calls(events: list[Event], choice: int = 0) -> list[tuple[str, Any]]:
    made: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, ToolStart) and event.choice == choice:
            made.append((event.name, ""))
        if isinstance(event, ToolArguments) and event.choice == choice:
            made[-1] = (made[-1][0], made[-1][1] + event.text)
    return [(name, json.loads(arguments)) for name, arguments in made]


def said(events: list[Event], kind: type[Text] | type[Reasoning] = Text) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def reason(events: list[Event]) -> str:
    assert isinstance(events[-1], Finished)
    return events[-1].reason


async def test_a_call_among_words() -> None:
    events = await events_of(f"I will add.\n{CALL}", tools=(ADD,))
    assert said(events).strip() == "I will add."
    assert calls(events) == [("add", {"a": 1, "b": 2})]
    assert reason(events) == "tool_calls"


@pytest.mark.parametrize("text", ['<tool_call>\n{"name": "sub", "arguments": {}}\n</tool_call>', "<tool_call>{oops"])
async def test_what_is_no_call_of_a_tool_is_text(text: str) -> None:
    events = await events_of(text, tools=(ADD,))
    assert (said(events), calls(events), reason(events)) == (text, [], "stop")


async def test_a_call_that_was_begun_of_itself_is_finished_as_its_schema_says() -> None:
    """The model writes the tag, and then goes astray."""
    vocabulary = Tagged()
    wanted = [*b"Look: ", Tagged.TAG, *b'\n{"name": "add", "arguments": {"a": oops', 259]

    def script(history: Any) -> int:
        header = [258, *b"assistant\n"]
        tokens = list(history)
        starts = (at + len(header) for at in range(len(tokens)) if tokens[at : at + len(header)] == header)
        return wanted[min(len(tokens) - max(starts, default=len(tokens)), len(wanted) - 1)]

    def build() -> FakeBackend:
        backend = FakeBackend(script)
        backend.vocabulary = vocabulary
        return backend

    model = LocalModel(build, ModelSettings(), ModelInfo(name="fake"))
    try:
        request = ask("?", tools=(ADD, TIME), sampling=GREEDY, max_tokens=600)
        events = [event async for event in model.stream(request)]
    finally:
        await model.aclose()
    ((name, arguments),) = calls(events)
    assert (name, said(events).strip(), reason(events)) == ("add", "Look:", "tool_calls")
    jsonschema.validate(arguments, ADD.parameters)
    assert sum(isinstance(event, ToolArguments) for event in events) > 1  # in pieces, as they came


async def test_without_tools_or_with_none_to_be_chosen_calls_are_text() -> None:
    assert said(await events_of(CALL)) == CALL
    assert said(await events_of(CALL, tools=(ADD,), tool_choice="none")) == CALL


@pytest.mark.parametrize("choice", ["required", "add"])
@pytest.mark.parametrize("text", ["No.", CALL, '{"a": 7}', "<tool_call>\n{", ""])
@pytest.mark.parametrize("sampling", [GREEDY, SamplingParams(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=1)])
async def test_a_call_that_must_be_is_made(choice: str, text: str, sampling: SamplingParams) -> None:
    events = await events_of(text, tools=(ADD, TIME), tool_choice=choice, sampling=sampling, max_tokens=3000)
    made = calls(events)
    assert made and said(events) == ""
    for name, arguments in made:
        jsonschema.validate(arguments, {"add": ADD, "time": TIME}[name].parameters)
        assert choice in ("required", name)
    assert reason(events) == "tool_calls"
    assert sum(isinstance(event, ToolEnd) for event in events) == len(made)


async def test_one_call_only_where_more_are_not_wanted() -> None:
    two = CALL + "\n" + CALL.replace("1", "3")
    assert len(calls(await events_of(two, tools=(ADD,)))) == 2
    events = await events_of(two, tools=(ADD,), parallel_tool_calls=False)
    assert (len(calls(events)), reason(events)) == (1, "tool_calls")
    assert len(calls(await events_of(two, tools=(ADD,), tool_choice="required"))) == 1
    assert len(calls(await events_of(two, tools=(ADD,), tool_choice="required", parallel_tool_calls=True))) == 2


async def test_several_choices_call_each_for_themselves() -> None:
    events = await events_of(CALL, tools=(ADD,), n=3, tool_choice="required")
    assert [calls(events, choice) for choice in range(3)] == [[("add", {"a": 1, "b": 2})]] * 3
    assert len({event.id for event in events if isinstance(event, ToolStart)}) == 3


async def test_a_format_stands_beside_tools_that_may_be_called() -> None:
    schema = SchemaFormat({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
    events = await events_of('{"x": 1}', tools=(ADD,), format=schema)
    assert (json.loads(said(events)), calls(events)) == ({"x": 1}, [])
    assert calls(await events_of(CALL, tools=(ADD,), format=schema)) == [("add", {"a": 1, "b": 2})]
    assert calls(await events_of("words", tools=(ADD,), format=schema, tool_choice="add"))
    assert said(await events_of("no", tools=(ADD,), format=GrammarFormat("yes|no/never", "regex"))) in (
        "no/never",
        "yes",
    )
    with pytest.raises(RequestError, match="grammar and tools"):
        await events_of("x", tools=(ADD,), format=GrammarFormat('start: "x"'))


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (Tool("bad", "", {"type": "string"}), "'bad'.*'type'"),
        (Tool("bad", "", {"type": "object", "properties": {"a": {"type": "strin"}}}), "'bad'.*strin"),
        (Tool("bad", "", {"type": "object", "properties": {"a": {"not": {}}}}, strict=True), "'bad'.*'not'"),
        (Tool("bad", "", {"properties": []}), "'bad'.*'properties'"),
        (Tool("bad", "", {"enum": ["x" * 300_000]}), "'bad'.*larger than"),
    ],
)
@pytest.mark.parametrize("choice", ["auto", "required", "bad"])
async def test_a_bad_schema_is_refused_with_its_tool_and_keyword(tool: Tool, words: str, choice: str) -> None:
    with pytest.raises(RequestError, match=words):
        await events_of("x", tools=(TIME, tool), tool_choice=choice)


async def test_what_of_a_schema_is_not_enforced_is_told() -> None:
    tool = Tool("odd", "", {"type": "object", "properties": {"a": {"not": {}}}})
    started = (await events_of("x", tools=(tool,)))[0]
    assert isinstance(started, Started)
    assert [warning for warning in started.warnings if "'odd'" in warning and "'not'" in warning]


async def test_too_many_tools_are_refused() -> None:
    with pytest.raises(RequestError, match="2000 tools"):
        await events_of("x", tools=(TIME,) * 2000)


async def test_leaving_in_the_midst_of_a_call_stops_the_work() -> None:
    async with opened(CALL * 20) as model:
        request = ask("?", tools=(ADD,), tool_choice="required", sampling=GREEDY)
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                if isinstance(event, ToolArguments):
                    break
        for _ in range(200):
            if not (await model.status()).running:
                break
            await asyncio.sleep(0.01)
        assert (await model.status()).running == 0


# -- thoughts ---------------------------------------------------------------------------------------------------------


# What the template has opened counts as said already by the scripted reply.
@pytest.mark.parametrize("opens", [True, False])
async def test_thoughts_are_told_apart_however_they_begin(opens: bool) -> None:
    events = await events_of("<think>\nhm\n</think>\n\nYes.", thinks=True, template_args={"opens": opens})
    assert (said(events, Reasoning), said(events)) == ("hm", "Yes.")


@pytest.mark.parametrize("opens", [True, False])
async def test_a_budget_ends_thoughts(opens: bool) -> None:
    text = "<think>" + "x" * 1000
    events = await events_of(text, thinks=True, reasoning_budget=10, template_args={"opens": opens}, max_tokens=60)
    assert said(events, Reasoning) == "x" * 10
    assert set(said(events)) == {"x"}
    last = events[-1]
    assert isinstance(last, Finished)
    assert 10 <= last.usage.reasoning_tokens <= 10 + len("<think>")


@pytest.mark.parametrize("off", [{"thinking": False}, {"reasoning_budget": 0}])
@pytest.mark.parametrize("opens", [True, False])
async def test_thinking_can_be_switched_off(off: dict[str, Any], opens: bool) -> None:
    text = "<think>xxxx</think>Yes."
    events = await events_of(text, thinks=True, template_args={"opens": opens}, **off)
    assert said(events, Reasoning) == ""


async def test_a_template_that_always_opens_thoughts_is_closed_where_thinking_is_off() -> None:
    always = {"opens": True, "enable_thinking": True}  # the caller's own word for the template
    events = await events_of("x" * 100, thinks=True, thinking=False, template_args=always, max_tokens=40)
    assert (said(events, Reasoning), set(said(events))) == ("", {"x"})


@pytest.mark.parametrize("opens", [True, False])
async def test_thoughts_come_before_what_a_grammar_asks_for(opens: bool) -> None:
    text = '<think>hm</think>{"x": 1}'
    events = await events_of(text, thinks=True, format=JsonFormat(), template_args={"opens": opens})
    # A tag of several tokens cannot be told from an answer, so thoughts that are not open already are left out.
    assert said(events, Reasoning) == ("hm" if opens else "")
    assert isinstance(json.loads(said(events)), dict)


async def test_thoughts_come_before_a_call_that_must_be() -> None:
    events = await events_of(
        f"<think>hm</think>{CALL}", thinks=True, tools=(ADD,), tool_choice="required", template_args={"opens": True}
    )
    assert said(events, Reasoning) == "hm"
    assert calls(events) == [("add", {"a": 1, "b": 2})]


def test_requests_with_tools_cross_a_process_boundary() -> None:
    import msgspec

    request = ask("?", tools=(ADD,), tool_choice="add", reasoning_budget=3, reasoning_effort="low", thinking=True)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=ChatRequest) == request
