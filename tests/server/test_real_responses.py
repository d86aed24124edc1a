"""Real weights behind the Responses: an answer, its stream, a call that is required and a schema that is kept to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from tests import models
from tests.doubles.live_server import live_server

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    path = models.path("smollm2")
    settings = ModelSettings(context=2048, slots=4, parallel=2)
    model = LocalModel(lambda: LlamaCppBackend.load(path, settings), settings, ModelInfo(name="smollm2"))
    with (
        live_server(model) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client,
    ):
        yield client


def test_a_stream_is_the_whole(client: openai.OpenAI) -> None:
    asked: Any = {"model": "smollm2", "input": "Name a colour.", "temperature": 0, "max_output_tokens": 24}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        events = list(stream)
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")  # the SDK has no final response of the latter
    final = last.response
    assert whole.output_text
    assert whole.output_text == deltas == final.output_text
    assert whole.usage is not None
    assert final.usage is not None
    assert whole.usage.output_tokens == final.usage.output_tokens


def test_going_on_reuses_what_was_computed(client: openai.OpenAI) -> None:
    first = client.responses.create(model="smollm2", input="My name is Ada.", temperature=0, max_output_tokens=24)
    second = client.responses.create(
        model="smollm2", input="And now?", previous_response_id=first.id, temperature=0, max_output_tokens=8
    )
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.usage.input_tokens_details.cached_tokens >= first.usage.input_tokens - 1


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_required_call(client: openai.OpenAI, choice: Any, streaming: bool) -> None:
    asked: Any = {
        "model": "smollm2",
        "input": "What is the weather in Bern in celsius?",
        "tools": [WEATHER],
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "temperature": 0,
        "max_output_tokens": 200,
    }
    if streaming:
        with client.responses.stream(**asked) as stream:
            response: Any = stream.get_final_response()
    else:
        response = client.responses.create(**asked)
    (call,) = (item for item in response.output if item.type == "function_call")
    assert call.name == "get_weather"
    arguments = json.loads(call.arguments)
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "fahrenheit")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees, sunny"}
    after = client.responses.create(
        model="smollm2",
        input=[result],  # type: ignore[list-item]
        previous_response_id=response.id,
        tools=[WEATHER],
        tool_choice="none",
        max_output_tokens=16,
    )
    assert after.output_text


class Colour(BaseModel):
    name: str
    warm: bool


def test_a_schema_is_kept_to(client: openai.OpenAI) -> None:
    reply = client.responses.parse(
        model="smollm2", input="Describe red as JSON.", text_format=Colour, temperature=0, max_output_tokens=100
    )
    assert isinstance(reply.output_parsed, Colour)
