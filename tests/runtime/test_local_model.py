"""`LocalModel` end to end on the fake backend: chat, engine and events, without weights."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, reply
from edgellm.config import ModelSettings
from edgellm.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    NotAModel,
    QueueFull,
    RequestError,
    Unavailable,
    Unsupported,
)
from edgellm.events import Event, Failed, Finished, Started, Text
from edgellm.messages import Tool
from edgellm.model import ModelInfo
from edgellm.request import (
    GREEDY,
    ChatRequest,
    GrammarFormat,
    Infill,
    Prompt,
    SamplingParams,
    SchemaFormat,
    TokenIds,
    ask,
)
from edgellm.runtime.local_model import LocalModel

ANSWER = "Grüße, 世界 🙂 and goodbye."


@asynccontextmanager
async def opened(build: Callable[[], FakeBackend], **settings: Any) -> AsyncIterator[LocalModel]:
    model = LocalModel(build, ModelSettings(**settings), ModelInfo(name="fake"))
    try:
        yield model
    finally:
        await model.aclose()


async def collect(model: LocalModel, request: ChatRequest) -> list[Event]:
    return [event async for event in model.stream(request)]


def text(events: list[Event], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.choice == choice)


def last(events: list[Event], choice: int = 0) -> Finished:
    found = [event for event in events if isinstance(event, Finished) and event.choice == choice]
    assert len(found) == 1
    return found[0]


async def idle(model: LocalModel) -> bool:
    """Nothing waits or runs any more, within two seconds."""
    for _ in range(200):
        status = await model.status()
        if status.running == status.waiting == 0:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_an_answer_from_start_to_finish() -> None:
    async with opened(lambda: FakeBackend(reply(ANSWER))) as model:
        events = await collect(model, ask("hi", sampling=GREEDY))
        assert text(events) == ANSWER
        assert isinstance(events[0], Started)
        finished = last(events)
        assert finished is events[-1]
        assert finished.reason == "stop"
        assert finished.usage.prompt_tokens == events[0].prompt_tokens == len(await model.tokenize(ask("hi").input))
        assert finished.usage.completion_tokens == len(ANSWER.encode()) + 1
        assert finished.timings.predicted_n == finished.usage.completion_tokens
        assert finished.timings.load_ms > 0
        assert "�" not in text(events)


async def test_the_second_request_finds_the_prompt_and_the_model() -> None:
    async with opened(lambda: FakeBackend(reply(ANSWER))) as model:
        await collect(model, ask("hi"))
        finished = last(await collect(model, ask("hi")))
        assert finished.usage.cached_tokens == finished.usage.prompt_tokens - 1
        assert finished.timings.load_ms == 0


async def test_choices_are_numbered_and_drawn_apart() -> None:
    params = SamplingParams(temperature=3.0, top_k=0, top_p=1.0, min_p=0.0, seed=5)
    async with opened(FakeBackend) as model:
        request = ask("hi", n=3, max_tokens=12, sampling=params, ignore_eos=True)
        events = await collect(model, request)
        texts = [text(events, choice) for choice in range(3)]
        assert len(set(texts)) == 3
        assert all(last(events, choice).usage.completion_tokens == 12 for choice in range(3))
        again = await collect(model, request)
        assert [text(again, choice) for choice in range(3)] == texts


async def test_stop_strings_end_the_answer_and_the_work() -> None:
    async with opened(lambda: FakeBackend(reply(ANSWER))) as model:
        events = await collect(model, ask("hi", stop=("and", "🙂")))
        assert text(events) == "Grüße, 世界 "
        assert (last(events).reason, last(events).stop) == ("stop", "🙂")
        assert await idle(model)


async def test_max_tokens_and_the_end_of_the_context_are_length() -> None:
    limits = Limits(cells=40, slots=4, batch=64, rows=8)
    async with opened(lambda: FakeBackend(limits=limits), slots=4, parallel=4) as model:
        assert last(await collect(model, ask("hi", max_tokens=5, ignore_eos=True))).usage.completion_tokens == 5
        finished = last(await collect(model, ask("hi", max_tokens=500, ignore_eos=True)))
        assert finished.reason == "length"
        assert finished.usage.prompt_tokens + finished.usage.completion_tokens == 40


async def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers() -> None:
    limits = Limits(cells=40, slots=4, batch=64, rows=8)
    async with opened(lambda: FakeBackend(limits=limits), slots=4, parallel=4) as model:
        with pytest.raises(ContextOverflow) as caught:
            await collect(model, ask("x" * 100))
        assert caught.value.available == 40
        assert str(caught.value.needed - 1) in str(caught.value) and "40" in str(caught.value)
        assert (await model.status()).cells_used == 0


async def test_logprobs_cover_every_token_of_the_text() -> None:
    async with opened(lambda: FakeBackend(reply(ANSWER))) as model:
        events = await collect(model, ask("hi", sampling=GREEDY, logprobs=2))
        entries = [entry for event in events if isinstance(event, Text) for entry in event.logprobs]
        assert b"".join(entry.data for entry in entries).decode() == ANSWER
        assert all(len(entry.top) == 2 and entry.top[0].token == entry.token for entry in entries)


async def test_raw_prompts_and_ids_are_taken_as_they_are() -> None:
    async with opened(FakeBackend) as model:
        assert await model.tokenize(TokenIds((1, 2, 3))) == [1, 2, 3]
        assert bytes((await model.tokenize(Prompt("abc")))[-3:]) == b"abc"
        assert bytes(await model.tokenize(Prompt("abc", bare=True))) == b"abc"
        assert await model.pieces([97, 200]) == [b"a", b"\xc8"] and await model.pieces([]) == []
        with pytest.raises(RequestError, match="vocabulary"):
            await model.pieces([10**6])
        finished = last(await collect(model, ChatRequest(input=TokenIds((1, 2, 3)), max_tokens=2, ignore_eos=True)))
        assert finished.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (ask("hi", sampling=SamplingParams(temperature=-1)), RequestError),
        (ask("hi", sampling=SamplingParams(logit_bias={99999: 1.0})), RequestError),
        (ask("hi", n=0), RequestError),
        (ask("hi", n=100_000), RequestError),
        (ask("hi", logprobs=1000), RequestError),
        (ask("hi", max_tokens=0), RequestError),
        (ask("hi", stop=("",)), RequestError),
        (ask("hi", format=SchemaFormat({"not": {}}, strict=True)), RequestError),
        (ask("hi", format=GrammarFormat("(", "regex")), RequestError),
        (ask("hi", tools=(Tool("t", "", {"type": "array"}),)), RequestError),
        (ask("hi", tools=(Tool("t"),), tool_choice="u"), RequestError),
        (ask("hi", tool_choice="required"), RequestError),
        (ChatRequest(input=Prompt("hi"), tools=(Tool("t"),)), RequestError),
        (ask("hi", reasoning_budget=-1), RequestError),
        (ChatRequest(input=Infill("a", "b")), Unsupported),
        (ChatRequest(input=TokenIds(())), RequestError),
        (ChatRequest(input=TokenIds((5000,))), RequestError),
        (ask("hi", deadline_s=-1.0), DeadlineExceeded),
    ],
)
async def test_what_cannot_be_done_is_refused_before_any_event(request_: ChatRequest, error: type[Exception]) -> None:
    async with opened(FakeBackend) as model:
        with pytest.raises(error):
            await collect(model, request_)
        assert await idle(model)
        assert text(await collect(model, ask("hi", max_tokens=3, ignore_eos=True)))


async def test_leaving_early_stops_the_work() -> None:
    async with opened(FakeBackend) as model:
        async with aclosing(model.stream(ask("hi", max_tokens=4000, ignore_eos=True))) as events:
            async for event in events:
                if isinstance(event, Text):
                    break
        assert await idle(model)
        assert (await model.status()).tokens_generated < 2000


async def test_a_full_queue_is_said_at_once() -> None:
    gate, entered = threading.Event(), threading.Event()

    def wait(batch: Batch) -> None:
        entered.set()
        gate.wait(10)

    async with opened(lambda: FakeBackend(before_decode=wait), parallel=1, queue=1, speculation="off") as model:
        first = asyncio.create_task(collect(model, ask("a", max_tokens=2)))
        await asyncio.to_thread(entered.wait, 10)
        second = asyncio.create_task(collect(model, ask("b", max_tokens=2)))
        third = asyncio.create_task(collect(model, ask("c", max_tokens=2)))
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(first, second, third, return_exceptions=True)
        assert [type(r) for r in results] == [list, list, QueueFull]


async def test_a_failed_load_is_told_to_everyone_and_tried_again() -> None:
    attempts = []

    def build() -> FakeBackend:
        attempts.append(1)
        if len(attempts) == 1:
            raise NotAModel("broken file")
        return FakeBackend(reply(ANSWER))

    async with opened(build) as model:
        results = await asyncio.gather(*(collect(model, ask("hi")) for _ in range(3)), return_exceptions=True)
        assert [type(r) for r in results] == [NotAModel] * 3
        assert text(await collect(model, ask("hi"))) == ANSWER
        assert len(attempts) == 2


async def test_a_failing_backend_fails_the_request_and_not_the_model() -> None:
    steps = itertools.count()

    def fail(batch: Batch) -> None:
        if next(steps) == 8:
            raise BackendError("the library failed")

    # Without speculation, whose measurements of an idle backend would take that step.
    async with opened(lambda: FakeBackend(reply(ANSWER), before_decode=fail), speculation="off") as model:
        events = [event async for event in model.stream(ask("hi"))]
        assert isinstance(events[0], Started)
        assert events[-1] == Failed("backend_error", "the library failed")
        assert text(await collect(model, ask("hi"))) == ANSWER


async def test_a_bug_in_the_engine_ends_every_stream_and_is_reported() -> None:
    crashed = threading.Event()

    def bug(batch: Batch) -> None:
        raise ZeroDivisionError("ours")

    model = LocalModel(lambda: FakeBackend(before_decode=bug), ModelSettings(), ModelInfo(name="x"), crashed.set)
    with pytest.raises(BackendError, match="ZeroDivisionError"):
        await collect(model, ask("hi"))
    assert crashed.is_set()
    with pytest.raises(BackendError):
        await collect(model, ask("hi"))
    await model.aclose()


async def test_closing_ends_running_streams_and_frees_the_backend() -> None:
    backend = FakeBackend()
    model = LocalModel(lambda: backend, ModelSettings(), ModelInfo(name="fake"))
    events: list[Event] = []
    async for event in model.stream(ask("hi", max_tokens=4000, ignore_eos=True)):
        events.append(event)
        if len(events) == 5:
            await model.aclose()
    assert isinstance(events[-1], Failed) and events[-1].code == Unavailable.code
    assert backend.closed
    await model.aclose()


async def test_metrics_count_how_choices_ended() -> None:
    async with opened(lambda: FakeBackend(reply(ANSWER))) as model:
        await collect(model, ask("hi"))
        await collect(model, ask("hi", max_tokens=2))
        with pytest.raises(RequestError):
            await collect(model, ask("hi", sampling=SamplingParams(logit_bias={99999: 1.0})))
        counters = {counter.name: counter.values for counter in (await model.status()).metrics.counters}
        assert counters["edgellm_requests_total"] == {"stop": 1, "length": 1, "invalid_request": 1}
        assert counters["edgellm_tokens_generated_total"] == {"": len(ANSWER.encode()) + 1 + 2}


async def test_the_name_and_the_recommended_sampling_outlast_the_load() -> None:
    advice = SamplingParams(temperature=0.2, top_p=0.9)
    model = LocalModel(FakeBackend, ModelSettings(), ModelInfo(name="mine", sampling=advice))
    assert model.info.sampling == advice
    await model.start()
    assert (model.info.name, model.info.backend, model.info.sampling) == ("mine", "fake", advice)
    await model.aclose()
