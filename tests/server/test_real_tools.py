"""Real weights and the real SDKs: calls that must be, by SmolLM2; whole agent loops, by Qwen2.5-Coder-1.5B."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from tests import models
from tests.doubles.live_server import LiveServer, live_server

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Bern, in celsius?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": SCHEMA},
    },
]
OF_ANTHROPIC: Any = {"name": "get_weather", "description": "The weather of a city.", "input_schema": SCHEMA}


class GetWeather(BaseModel):
    """The weather of a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


@contextmanager
def served(name: str) -> Iterator[LiveServer]:
    path = models.path(name)
    settings = ModelSettings(context=4096, slots=4, parallel=2)
    model = LocalModel(lambda: LlamaCppBackend.load(path, settings), settings, ModelInfo(name="real"))
    with live_server(model) as server:
        yield server


@pytest.fixture(scope="module")
def small() -> Iterator[LiveServer]:
    with served("smollm2") as server:
        yield server


@pytest.fixture(scope="module")
def coder() -> Iterator[LiveServer]:
    with served("qwen-1.5b") as server:
        yield server


def of_openai(server: LiveServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0, timeout=600)


def check(arguments: Any) -> None:
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "fahrenheit")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_openai(small: LiveServer, choice: Any) -> None:
    asked: Any = {
        "model": "real",
        "messages": ASK,
        "tools": TOOLS,
        "tool_choice": choice,
        "temperature": 0,
        "max_tokens": 300,
        "parallel_tool_calls": False,
    }
    client = of_openai(small)
    message = client.chat.completions.create(**asked).choices[0].message
    (call,) = message.tool_calls or ()
    assert call.type == "function"
    check(json.loads(call.function.arguments))
    assert message.content is None
    with client.chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0]
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert final.finish_reason == "tool_calls"
    (again,) = final.message.tool_calls or ()
    assert again.function.arguments == call.function.arguments
    assert again.id != call.id


async def test_openai_async_and_parsed(small: LiveServer) -> None:
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    async with openai.AsyncOpenAI(base_url=f"{small.url}/v1", api_key="-", max_retries=0, timeout=600) as client:
        parsed = await client.chat.completions.parse(
            model="real", messages=ASK, tools=[tool], tool_choice="required", temperature=0, parallel_tool_calls=False
        )
    (call,) = parsed.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, GetWeather)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_anthropic(small: LiveServer, choice: Any) -> None:
    client = anthropic.Anthropic(base_url=small.url, api_key="-", max_retries=0, timeout=600)
    asked: Any = {
        "model": "real",
        "messages": ASK,
        "tools": [OF_ANTHROPIC],
        "tool_choice": choice | {"disable_parallel_tool_use": True},
        "max_tokens": 300,
    }
    whole = client.messages.create(**asked)
    (block,) = whole.content
    assert (block.type, whole.stop_reason) == ("tool_use", "tool_use")
    check(block.input)
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert "input_json" in kinds
    check(final.content[0].input)
    counted = client.messages.count_tokens(model="real", messages=ASK, tools=[OF_ANTHROPIC]).input_tokens
    assert counted == whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0)


def test_bad_schemas_name_tool_and_keyword(small: LiveServer) -> None:
    bad: Any = {"name": "odd", "parameters": {"type": "object", "properties": {"a": {"type": "strin"}}}}
    with pytest.raises(openai.BadRequestError, match=r"'odd'.*strin"):
        of_openai(small).chat.completions.create(
            model="real", messages=ASK, tools=[{"type": "function", "function": bad}]
        )


# -- agents -----------------------------------------------------------------------------------------------------------


# A small model may call again what it has called: an agent bounds that, and asks for words in the end.
ROUNDS = 3
ADVICE = "You are a helpful assistant. When a tool has answered, tell its result in one sentence."
RESULT = "18 degrees celsius and sunny"


def test_an_agent_of_openais(coder: LiveServer) -> None:
    client, made, said = of_openai(coder), 0, ""
    messages: list[Any] = [{"role": "system", "content": ADVICE}, *ASK]
    for left in reversed(range(ROUNDS)):
        choice = client.chat.completions.create(
            model="real",
            messages=messages,
            tools=TOOLS,
            tool_choice="auto" if left else "none",
            temperature=0,
            max_tokens=200,
        ).choices[0]
        messages.append(choice.message)
        if choice.finish_reason == "stop":
            said = choice.message.content or ""
            break
        for call in choice.message.tool_calls or ():
            assert call.type == "function"
            check(json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": RESULT})
            made += 1
    assert made
    assert "18" in said


def test_an_agent_of_anthropics(coder: LiveServer) -> None:
    client = anthropic.Anthropic(base_url=coder.url, api_key="-", max_retries=0, timeout=600)
    messages, made, said = list(ASK), 0, ""
    for left in reversed(range(ROUNDS)):
        with client.messages.stream(
            model="real",
            system=ADVICE,
            messages=messages,
            tools=[OF_ANTHROPIC],
            tool_choice={"type": "auto" if left else "none"},
            max_tokens=200,
            extra_body={"temperature": 0},
        ) as stream:
            reply = stream.get_final_message()
        messages.append({"role": "assistant", "content": reply.content})
        if reply.stop_reason == "end_turn":
            said = "".join(block.text for block in reply.content if block.type == "text")
            break
        results = []
        for block in reply.content:
            if block.type == "tool_use":
                check(block.input)
                results.append({"type": "tool_result", "tool_use_id": block.id, "content": RESULT})
        made += len(results)
        messages.append({"role": "user", "content": results})
    assert made
    assert "18" in said


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_of_ollamas(coder: LiveServer, stream: bool) -> None:
    def get_weather(city: str, unit: str) -> str:
        """The weather of a city.

        Args:
            city: The city's name.
            unit: celsius or fahrenheit.
        """
        return f"18 degrees {unit} and sunny in {city}"

    client, made, said = ollama.Client(host=coder.url, timeout=600), 0, ""
    messages: list[Any] = [{"role": "system", "content": ADVICE}, *ASK]
    asked: Any = {"model": "real", "options": {"temperature": 0, "num_predict": 200}, "stream": stream}
    for left in reversed(range(ROUNDS)):
        replies: Any = client.chat(messages=messages, tools=[get_weather] if left else None, **asked)
        pieces = list(replies) if stream else [replies]
        calls = [call for piece in pieces for call in piece.message.tool_calls or ()]
        said = "".join(piece.message.content or "" for piece in pieces)
        if not calls:
            break
        messages.append({"role": "assistant", "content": said, "tool_calls": calls})
        for call in calls:
            result = get_weather(**call.function.arguments)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
            made += 1
    assert made
    assert "18" in said
