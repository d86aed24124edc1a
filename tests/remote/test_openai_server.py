"""A server that speaks OpenAI's dialect as a `Model`: our own, and ones that misbehave."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

import pytest
from hypothesis import given, strategies as st

from edgellm.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EdgeLLMError,
    RequestError,
    Unavailable,
    Unsupported,
    WorkerDied,
)
from edgellm.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Started,
    Text,
    Timings,
    TokenLogprob,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
)
from edgellm.messages import (
    Message,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from edgellm.model import Model
from edgellm.remote.flavour import flavour_of
from edgellm.remote.openai_server import OpenAIServer, Patience, key_of
from edgellm.remote.reply import Reply
from edgellm.remote.request_body import body_of
from edgellm.request import (
    GREEDY,
    ChatRequest,
    Conversation,
    GrammarFormat,
    Infill,
    JsonFormat,
    Prompt,
    SamplingParams,
    SchemaFormat,
    TokenIds,
    ask,
)
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import live_server, wait_until

Respond = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


async def collect(model: Model, text: str = "hello there", **options: object) -> list[Event]:
    return [event async for event in model.stream(ask(text, **options))]


@contextmanager
def stranger(respond: Respond) -> Iterator[str]:
    """A server that answers POST by `respond` and knows one model; its address."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self, 200, json.dumps({"data": [{"id": "strange"}]}))

        def do_POST(self) -> None:
            respond(self, self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def reply(to: http.server.BaseHTTPRequestHandler, status: int, body: str) -> None:
    to.send_response(status)
    to.send_header("content-length", str(len(body.encode())))
    to.end_headers()
    to.wfile.write(body.encode())


def chunks(*bodies: object) -> str:
    return "".join(f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n" for body in bodies)


async def test_our_own_server_is_one() -> None:
    with live_server(EchoModel()) as live:
        for url in (live.url, live.url + "/v1/"):
            model = OpenAIServer(url)
            events = await collect(model, sampling=GREEDY, max_tokens=50)
            await model.aclose()
            assert model.info.name == "echo"
            assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
            assert "hello there" in "".join(event.text for event in events if isinstance(event, Text))
            assert events[-1].usage.completion_tokens > 0


async def test_what_it_sends_is_what_was_asked() -> None:
    seen: list[dict[str, object]] = []

    def respond(to: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append({**json.loads(body), "key": to.headers["authorization"]})
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
        delta = {"choices": [{"delta": {"reasoning_content": "hm"}}]}
        text = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "length"}]}
        reply(to, 200, chunks(delta, text, {"choices": [], "usage": usage}, "[DONE]"))

    with stranger(respond) as url:
        model = OpenAIServer(url, api_key="secret")
        events = await collect(model, sampling=GREEDY, max_tokens=5, stop=("x",))
        await model.aclose()
    assert [type(event) for event in events] == [Started, Reasoning, Text, Finished]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.usage.prompt_tokens, finished.timings.prompt_n) == ("length", 9, 5)
    assert seen[0]["key"] == "Bearer secret"
    assert (seen[0]["model"], seen[0]["temperature"], seen[0]["max_tokens"]) == ("strange", 0.0, 5)
    assert seen[0]["messages"] == [{"role": "user", "content": "hello there"}]


@pytest.mark.parametrize("body", [chunks({"error": {"message": "it broke"}}), "data: {not json\n\n"])
async def test_an_answer_that_breaks_off_is_said(body: str) -> None:
    with stranger(lambda to, _: reply(to, 200, body)) as url:
        model = OpenAIServer(url)
        with pytest.raises(Unavailable, match="broke"):
            await collect(model)
        await model.aclose()


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        model = OpenAIServer(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="Check that the server runs"):
            await model.start()
    with pytest.raises(RequestError, match="http://HOST:PORT"):
        await OpenAIServer("localhost:8080").start()


async def test_what_the_dialect_cannot_say_is_refused() -> None:
    with stranger(lambda to, _: reply(to, 404, "{}")) as url:
        model = OpenAIServer(url)
        with pytest.raises(Unsupported):
            await collect(model, format=GrammarFormat("a|b", "regex"))
        for input in (Prompt("x"), Infill("a", "b")):
            with pytest.raises(Unsupported):
                await model.tokenize(input)
        assert await model.tokenize(TokenIds((1, 2))) == [1, 2]
        await model.aclose()
        await model.aclose()


# Everything a request and an answer can have, through a server of our own


async def through(double: EchoModel, request: ChatRequest) -> list[Event]:
    """What `double` says to a client of a server around it."""
    with live_server(double) as live:
        model = OpenAIServer(live.url)
        try:
            return [event async for event in model.stream(request)]
        finally:
            await model.aclose()


async def test_a_request_arrives_as_it_was_meant() -> None:
    tool = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True)
    said = (
        system("Be brief."),
        user("hello"),
        Message("assistant", (ReasoningPart("hm"), TextPart("Let me see."), ToolCall("c1", "weather", '{"city":"X"}'))),
        Message("tool", (ToolResult("c1", "18 degrees"),)),
        user("and tomorrow"),
    )
    asked = ChatRequest(
        input=Conversation(said),
        model="echo",
        sampling=SamplingParams(temperature=0.5, top_k=7, min_p=0.1, penalty_window=-1, logit_bias={5: 1.5}, seed=9),
        n=2,
        max_tokens=9,
        stop=("END",),
        stop_token_ids=(3,),
        logprobs=2,
        tools=(tool,),
        tool_choice="weather",
        parallel_tool_calls=False,
        reasoning_effort="low",
        reasoning_budget=100,
        template_args={"x": 1},
        priority="batch",
        speculation="off",
    )
    double = EchoModel()
    await through(double, asked)
    for format in (JsonFormat(), SchemaFormat({"type": "array"}, strict=True), GrammarFormat("[ab]+", "regex")):
        await through(double, ask("x", format=format, model="echo"))
    await through(double, ask("x", thinking=False))
    first, *formats, last = double.requests
    assert first == asked
    assert [each.format for each in formats] == [
        JsonFormat(),
        SchemaFormat({"type": "array"}, strict=True),
        GrammarFormat("[ab]+", "regex"),
    ]
    assert last.thinking is False


@pytest.mark.parametrize("input", [Prompt("some words"), TokenIds((1, 2, 3)), Infill("before", "after")])
async def test_what_is_no_conversation_arrives_too(input: Prompt | TokenIds | Infill) -> None:
    double = EchoModel()
    events = await through(double, ChatRequest(input=input, logprobs=1))
    assert double.requests[0].input == input and double.requests[0].max_tokens is None
    texts = [event for event in events if isinstance(event, Text)]
    assert "".join(each.text for each in texts).strip() and texts[0].logprobs[0].logprob == -0.5


async def test_an_answer_arrives_as_it_was_given() -> None:
    double = EchoModel()
    entry = TokenLogprob(-1, "hm", b"hm", -0.25, (TokenLogprob(-1, "so", b"so", -1.5),))
    timings = Timings(cache_n=2, prompt_n=3, prompt_ms=7.0, predicted_n=5, predicted_ms=9.0, draft_n=4)
    double.reply = [
        Started(5, 2),
        Reasoning("hm", logprobs=(entry,)),
        Text("I ask.", part=1),
        ToolStart("a1", "weather", part=2),
        ToolArguments('{"city":', part=2),
        ToolArguments('"X"}', part=2),
        ToolEnd(part=2),
        ToolStart("a2", "time", part=3),
        ToolArguments("{}", part=3),
        ToolEnd(part=3),
        Finished("tool_calls", Usage(5, 5, 2), timings),
    ]
    events = await through(double, ask("x", logprobs=1))
    said = [event for event in events if not isinstance(event, Progress)]
    assert said == [Started(0, 0), *double.reply[1:]]


async def test_several_answers_have_their_own_events() -> None:
    events = await through(EchoModel(), ask("one two three", n=3, max_tokens=2))
    for choice in range(3):
        mine = [event for event in events if event.choice == choice]
        assert isinstance(mine[0], Started) and isinstance(mine[-1], Finished) and mine[-1].reason == "length"
        assert "".join(event.text for event in mine if isinstance(event, Text)) == "one two"
    counted = [event.usage.completion_tokens for event in events if isinstance(event, Finished)]
    assert sum(counted) == 6


async def test_our_own_errors_stay_what_they_are() -> None:
    double = EchoModel()
    double.refuse = ContextOverflow("It is too long: 9 tokens of 5.", 9, 5)
    with pytest.raises(ContextOverflow, match="9 tokens of 5"):
        await through(double, ask("x"))
    double.refuse = None
    double.fail_after, double.failure = 1, WorkerDied("the worker is gone")
    events = await through(double, ask("one two three"))
    assert isinstance(events[-1], Failed) and events[-1].code == "worker_died"
    assert "worker is gone" in events[-1].message


async def test_leaving_cancels_the_work() -> None:
    double = EchoModel()
    double.delay_s = 0.02
    with live_server(double) as live:
        model = OpenAIServer(live.url)
        async with aclosing(model.stream(ask("word " * 500))) as events:
            async for event in events:
                if isinstance(event, Text):
                    break
        wait_until(lambda: double.cancelled == 1)
        await model.aclose()


async def test_time_is_bounded() -> None:
    double = EchoModel()
    double.hold = True
    with live_server(double) as live:
        hasty = OpenAIServer(live.url, patience=Patience(first_s=0.05))
        with pytest.raises(Unavailable, match="said nothing"):
            await collect(hasty)
        with pytest.raises(DeadlineExceeded):
            await collect(hasty, deadline_s=0.02)
        await hasty.aclose()
        double.hold, double.delay_s = False, 0.05
        slow = OpenAIServer(live.url, patience=Patience(total_s=0.2))
        events = await collect(slow, "word " * 100)
        assert isinstance(events[-1], Failed) and events[-1].code == "upstream_timeout"
        await slow.aclose()


async def test_what_the_server_tells_of_itself() -> None:
    with live_server(EchoModel(sampling=SamplingParams(temperature=0.25)), aliases=("parrot",)) as live:
        model = OpenAIServer(live.url, "parrot")
        await model.start()
        assert (model.flavour, model.info.name, model.info.context_length) == ("edgellm", "echo", 512)
        assert model.info.sampling.temperature == 0.25
        assert [each.name for each in await model.models()] == ["echo"]
        assert await model.health()
        assert (await model.status()).running == 0
        await model.aclose()
    assert not await model.health()
    await model.aclose()


@pytest.mark.parametrize(
    ("owner", "sent", "not_sent"),
    [
        ("openai", set(), {"top_k", "chat_template_kwargs", "speculation", "return_progress"}),
        ("vllm", {"top_k", "chat_template_kwargs", "add_generation_prompt"}, {"speculation", "return_progress"}),
        ("llamacpp", {"top_k", "repeat_last_n", "return_progress"}, {"speculation", "continue_final_message"}),
    ],
)
def test_each_server_gets_what_it_knows(owner: str, sent: set[str], not_sent: set[str]) -> None:
    conversation = Conversation((user("x"), assistant("y")), continue_last=True)
    asked = ChatRequest(input=conversation, thinking=True, sampling=SamplingParams(top_k=3, penalty_window=5))
    body = body_of(asked, "m", flavour_of({"owned_by": owner}))
    assert sent <= body.keys() and not not_sent & body.keys()


async def test_progress_of_llama_server_is_told() -> None:
    progress = {"choices": [], "prompt_progress": {"total": 9, "cache": 0, "processed": 4, "time_ms": 5}}
    text = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    with stranger(lambda to, _: reply(to, 200, chunks(progress, text, "[DONE]"))) as url:
        model = OpenAIServer(url)
        assert Progress(4, 9) in await collect(model)
        await model.aclose()


WORDS = """
choices delta content tool_calls function arguments index logprobs top_logprobs tokens token_logprobs bytes usage
timings predicted_ms error code message finish_reason stop_reason prompt_progress text id name
"""
KEYS = st.sampled_from(WORDS.split())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(st.lists(ANYTHING, max_size=5))
def test_no_line_breaks_the_reader(lines: list[object]) -> None:
    """Whatever a server writes, it is events or an error of ours."""
    reader = Reply(0.0)
    for line in lines:
        for text in (str(line), f"data: {json.dumps(line)}", f'data: {{"choices": [{json.dumps(line)}]}}'):
            with suppress(EdgeLLMError):
                reader.events(text)


def test_a_key_of_the_environment() -> None:
    assert key_of({"OPENAI_API_KEY": "k"}) == "k" and key_of({}) == ""
    assert key_of({"OTHER": "o"}, "OTHER") == "o"
