"""Chats, plain text and models through the real Ollama SDK, synchronous and asynchronous, streaming and not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

import edgellm
from edgellm.errors import ContextOverflow, ModelNotFound, QueueFull, Unavailable, Unsupported
from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult, assistant, system, user
from edgellm.request import Conversation, Infill, JsonFormat, Prompt, SamplingParams, SchemaFormat
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

SAID = "Grüße 👋🏽 aus  dem 東京 Wald\n"
ASK: Any = [{"role": "user", "content": SAID}]
CALLS: list[Event] = [
    Started(8, 5),
    Reasoning("hm"),
    Text("Look:"),
    ToolStart("call_1", "weather", part=1),
    ToolArguments('{"city":', part=1),
    ToolArguments('"Bern"}', part=1),
    ToolEnd(part=1),
    ToolStart("call_2", "time", part=2),
    ToolEnd(part=2),
    Finished("tool_calls", Usage(8, 9, 5), Timings(load_ms=1.5)),
]


@pytest.fixture
def client(server: LiveServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url, timeout=20) as client:
        yield client


def test_chat_whole(client: ollama.Client) -> None:
    reply = client.chat("echo", ASK)
    assert (reply.model, reply.message.role, reply.message.content) == ("echo", "assistant", SAID)
    assert (reply.done, reply.done_reason) == (True, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == (7, 7)
    assert (reply.prompt_eval_duration, reply.eval_duration) == (10_000_000, 20_000_000)
    assert reply.load_duration == 0
    assert reply.total_duration is not None
    assert reply.total_duration > 0


def test_chat_stream(client: ollama.Client) -> None:
    *pieces, last = client.chat("echo:latest", ASK, stream=True)
    assert [piece.message.content for piece in pieces[:2]] == ["Grüße", " 👋🏽"]
    assert "".join(piece.message.content or "" for piece in pieces) == SAID
    assert all(piece.done is False and piece.eval_count is None for piece in pieces)
    assert (last.done, last.done_reason, last.message.content, last.eval_count) == (True, "stop", "", 7)


def test_a_stream_is_lines_of_json_and_the_default(server: LiveServer) -> None:
    reply = server.post("/api/generate", {"model": "echo", "prompt": SAID, "options": {"num_predict": 2}})
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in reply.body.decode().splitlines()]
    assert [line["response"] for line in lines] == ["Grüße", " 👋🏽", ""]
    assert [line["done"] for line in lines] == [False, False, True]
    assert lines[-1]["done_reason"] == "length"


async def test_async_client(server: LiveServer) -> None:
    client = ollama.AsyncClient(host=server.url, timeout=20)
    async with client:
        assert (await client.chat("echo", ASK)).message.content == SAID
        pieces = [piece.message.content async for piece in await client.chat("echo", ASK, stream=True)]
        assert "".join(pieces) == SAID
        assert (await client.generate("echo", SAID)).response == SAID


def test_generate(client: ollama.Client, model: EchoModel) -> None:
    assert client.generate("echo", SAID).response == SAID
    assert "".join(piece.response for piece in client.generate("parrot", SAID, stream=True)) == SAID
    client.generate("echo", "a", system="Be brief.")
    client.generate("echo", "a", raw=True)
    client.generate("echo", "def f(", "): pass")
    talk = Conversation((user(SAID),))
    brief = Conversation((system("Be brief."), user("a")))
    inputs = [request.input for request in model.requests]
    assert inputs == [talk, talk, brief, Prompt("a"), Infill("def f(", "): pass")]


@pytest.mark.parametrize("streaming", [False, True])
def test_thinking_and_tool_calls(client: ollama.Client, model: EchoModel, streaming: bool) -> None:
    model.reply = CALLS
    replies: Any = list(client.chat("echo", ASK, stream=True)) if streaming else [client.chat("echo", ASK)]
    assert "".join(reply.message.thinking or "" for reply in replies) == "hm"
    assert "".join(reply.message.content for reply in replies) == "Look:"
    calls = [call.function for reply in replies for call in reply.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == [("weather", {"city": "Bern"}), ("time", {})]
    assert (replies[-1].done_reason, replies[-1].load_duration) == ("stop", 1_500_000)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("ended", [False, True])
def test_a_call_that_was_cut_off_is_text(client: ollama.Client, model: EchoModel, streaming: bool, ended: bool) -> None:
    cut = Finished("length", Usage(3, 2, 0), Timings())
    model.reply = [Started(3, 0), ToolStart("c", "weather"), ToolArguments('{"ci'), *([ToolEnd()] * ended), cut]
    replies: Any = list(client.chat("echo", ASK, stream=True)) if streaming else [client.chat("echo", ASK)]
    assert "".join(reply.message.content for reply in replies) == '{"ci'
    assert replies[-1].done_reason == "length"
    assert not any(reply.message.tool_calls for reply in replies)


def test_what_arrives(client: ollama.Client, model: EchoModel) -> None:
    options = {
        "temperature": 0,
        "top_k": -1,
        "top_p": 0.5,
        "min_p": 0.1,
        "seed": 7,
        "num_predict": 3,
        "num_ctx": 512,
        "num_gpu": 99,
        "stop": ["END", ""],
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
    }
    function = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
    client.chat("echo", ASK, options=options, think="high", keep_alive="5m", format="json", logprobs=True)
    client.chat("echo", ASK, tools=[{"type": "function", "function": function}], think=False, format={"type": "array"})
    first, second = model.requests
    assert first.sampling == SamplingParams(
        temperature=0.0,
        top_k=0,
        top_p=0.5,
        min_p=0.1,
        seed=7,
        repetition_penalty=1.1,
        penalty_window=32,
        presence_penalty=0.5,
        frequency_penalty=0.25,
    )
    assert (first.max_tokens, first.stop, first.logprobs) == (3, ("END",), 0)
    assert (first.thinking, first.reasoning_effort) == (True, "high")
    assert (first.format, second.format) == (JsonFormat(), SchemaFormat({"type": "array"}))
    assert second.tools == (Tool("weather", "Tells it.", {"type": "object"}),)
    assert (second.thinking, second.reasoning_effort) == (False, None)
    assert (second.sampling, second.max_tokens) == (SamplingParams(), None)


def test_log_probabilities(client: ollama.Client) -> None:
    reply = client.chat("echo", [{"role": "user", "content": "a b"}], logprobs=True, top_logprobs=2)
    assert reply.logprobs is not None
    assert [(entry.token, entry.logprob) for entry in reply.logprobs] == [("a", -0.5), (" b", -0.5)]
    assert [other.token for other in reply.logprobs[0].top_logprobs or ()] == ["a0", "a1"]


def test_thoughts_of_earlier_turns_are_told_again(server: LiveServer, model: EchoModel) -> None:
    said = {"role": "assistant", "content": None, "thinking": "hm", "tool_calls": [{"function": {"name": "time"}}]}
    messages = [{"role": "user", "content": "?"}, said, {"role": "tool", "content": "noon"}]
    assert server.post("/api/chat", {"model": "echo", "messages": messages, "stream": False}).status == 200
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    assert asked.messages[1] == Message("assistant", (ReasoningPart("hm"), ToolCall("call_1", "time", "{}")))


def test_results_find_their_calls(client: ollama.Client, model: EchoModel) -> None:
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("time", "weather", "time")]
    messages: Any = [
        *ASK,
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_name": "weather", "content": "18 degrees"},
        {"role": "tool", "content": "noon"},
        {"role": "tool", "tool_name": "time", "content": "later"},
    ]
    client.chat("echo", messages)
    made = tuple(ToolCall(f"call_{i + 1}", name, "{}") for i, name in enumerate(("time", "weather", "time")))
    results = (("call_2", "18 degrees"), ("call_1", "noon"), ("call_3", "later"))
    told = (Message("tool", (ToolResult(*result),)) for result in results)
    assert model.requests[0].input == Conversation((user(SAID), Message("assistant", made), *told))


def test_a_begun_answer_is_gone_on_with(client: ollama.Client, model: EchoModel) -> None:
    client.chat("echo", [*ASK, {"role": "assistant", "content": "Once"}])
    client.chat("echo", [*ASK, {"role": "assistant", "content": ""}])
    assert model.requests[0].input == Conversation((user(SAID), assistant("Once")), continue_last=True)
    assert model.requests[1].input == Conversation((user(SAID), Message("assistant", (TextPart(""),))))


def test_a_request_without_input_loads(client: ollama.Client, model: EchoModel) -> None:
    assert client.chat("echo").done_reason == "load"
    assert model.loaded
    reply = client.generate("echo")
    assert (reply.done, reply.done_reason, reply.response) == (True, "load", "")
    with pytest.raises(ollama.ResponseError, match="keep_alive") as caught:
        client.generate("echo", keep_alive=0)
    assert caught.value.status_code == 400
    assert model.requests == []


def test_more_context_than_there_is_is_warned_of_with_both_numbers(server: LiveServer) -> None:
    body = {"model": "echo", "messages": ASK, "options": {"num_ctx": 32768}}
    for reply in (server.post("/api/chat", body | {"stream": False}), server.post("/api/chat", body)):
        assert reply.status == 200
        (warning,) = json.loads(reply.body.splitlines()[-1])["warnings"]
        assert "32768" in warning and "512" in warning
    for enough in (512, 16):
        body["options"] = {"num_ctx": enough}
        assert "warnings" not in server.post("/api/chat", body | {"stream": False}).json()


def test_models(client: ollama.Client) -> None:
    (entry,) = client.list().models
    assert (entry.model, entry.modified_at is not None) == ("echo", True)
    (running,) = client.ps().models
    assert (running.name, running.context_length) == ("echo", 512)
    assert running.expires_at is not None
    shown = client.show("parrot:latest")
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.context_length"] == 512
    assert shown.modelinfo["general.basename"] == "echo"
    assert re.fullmatch("[0-9a-f]{64}", client.list().models[0].digest or "")  # Ollama's command cuts a piece out
    assert client.ps().models[0].digest == client.list().models[0].digest
    assert shown.capabilities == ["completion"]
    assert shown.parameters is not None
    assert "temperature 0.8" in shown.parameters.splitlines()
    with pytest.raises(ollama.ResponseError) as caught:
        client.show("llama3:8b")
    assert caught.value.status_code == 404
    assert "echo" in caught.value.error


def test_version(server: LiveServer) -> None:
    told = server.ask("GET", "/api/version").json()
    assert told["edgellm"] == edgellm.__version__
    assert tuple(int(part) for part in told["version"].split(".")) >= (0, 6, 4)  # what VS Code's Copilot asks for


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueueFull("64 requests wait already.", 2.2), 429),
        (ContextOverflow("Too long.", 900, 512), 400),
        (Unsupported("No tools yet."), 400),
        (ModelNotFound("Gone."), 404),
        (Unavailable("Later."), 503),
        (RuntimeError("a bug with a secret"), 500),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_have_their_own_status(
    client: ollama.Client, model: EchoModel, error: Exception, status: int, stream: bool
) -> None:
    model.refuse = error
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.chat("echo", ASK, stream=stream))
    assert caught.value.status_code == status
    assert "secret" not in caught.value.error
    if isinstance(error, ContextOverflow):
        assert "900" in caught.value.error
        assert "512" in caught.value.error


def test_failure_in_mid_stream(client: ollama.Client, model: EchoModel) -> None:
    model.fail_after = 2
    seen = []
    with pytest.raises(ollama.ResponseError, match="scripted"):
        for piece in client.chat("echo", ASK, stream=True):
            seen.append(piece.message.content)
    assert seen == ["Grüße", " 👋🏽"]


@pytest.mark.parametrize("streaming", [True, False])
def test_hang_up_cancels(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.delay_s = 0.01
    sock = server.begin("/api/generate", {"prompt": "word " * 5000, "stream": streaming})
    wait_until(lambda: model.open == 1)
    sock.close()
    wait_until(lambda: model.cancelled == 1 and model.open == 0)
    assert model.finished == 0


CHAT, GENERATE, SHOW = "/api/chat", "/api/generate", "/api/show"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": "hi"}),
        (CHAT, {"messages": [{"role": "wizard", "content": "hi"}]}),
        (CHAT, {"messages": [{"role": "user", "content": 7}]}),
        (CHAT, {"messages": [{"role": "user", "content": "\ud800"}]}),
        (CHAT, {"messages": [{"role": "user", "content": "look", "images": ["aGk="]}]}),
        (CHAT, {"messages": ASK, "options": {"temperature": -1}}),
        (CHAT, {"messages": ASK, "options": {"temperature": "hot"}}),
        (CHAT, {"messages": ASK, "options": {"num_predict": 10**40}}),
        (CHAT, {"messages": ASK, "options": {"mirostat": 2}}),
        (CHAT, {"messages": ASK, "options": {"stop": ["x"] * 17}}),
        (CHAT, {"messages": ASK, "options": []}),
        (CHAT, {"messages": ASK, "format": "yaml"}),
        (CHAT, {"messages": ASK, "think": "much"}),
        (CHAT, {"messages": ASK, "tools": [{"type": "function"}]}),
        (CHAT, {"messages": ASK, "top_logprobs": 99}),
        (GENERATE, {"prompt": ["a"]}),
        (GENERATE, {"prompt": "a", "template": "{{ .Prompt }}"}),
        (GENERATE, {"prompt": "a", "context": [1, 2]}),
        (GENERATE, {"prompt": "a", "images": ["aGk="]}),
        (GENERATE, {"prompt": "a", "raw": True, "system": "b"}),
        (GENERATE, {"prompt": "a", "suffix": "c", "system": "b"}),
        (SHOW, {}),
        (SHOW, {"model": 7}),
    ],
)
def test_wrong_bodies(server: LiveServer, model: EchoModel, path: str, body: Any) -> None:
    reply = server.post(path, body)
    assert reply.status == 400
    assert set(reply.json()) == {"error"}
    assert reply.json()["error"]
    assert model.requests == []


def test_what_is_not_there_is_absent(server: LiveServer) -> None:
    for path in ("/api/blobs", "/api/nothing"):
        reply = server.post(path, {"model": "echo"})
        assert (reply.status, list(reply.json())) == (404, ["error"])


def test_the_models_own_sampling_is_the_default() -> None:
    advice = SamplingParams(temperature=0.2, top_p=0.9)
    model = EchoModel(sampling=advice)
    with live_server(model) as live:
        live.post(CHAT, {"messages": ASK})
        live.post(GENERATE, {"prompt": "a", "options": {"top_p": 1}})
    assert [request.sampling for request in model.requests] == [advice, SamplingParams(temperature=0.2, top_p=1.0)]


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_not_honoured_is_told(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.reply = [Started(3, 0, warnings=("uniqueItems is not enforced",)), Text("[]")]
    model.reply += [Finished("stop", Usage(3, 1, 0), Timings())]
    reply = server.post(CHAT, {"messages": ASK, "format": {"type": "array"}, "stream": streaming})
    assert json.loads(reply.body.splitlines()[-1])["warnings"] == ["uniqueItems is not enforced"]
