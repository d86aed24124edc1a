"""The whole house on the tiny model: random requests, cancels, hang-ups and a killed worker leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.errors import EdgeLLMError, WorkerDied
from edgellm.events import Failed, Finished, Text
from edgellm.model import Model, ModelInfo
from edgellm.request import ChatRequest, SamplingParams, ask
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.local_model import LocalModel
from edgellm.runtime.process_model import ProcessModel
from tests import tiny_model
from tests.doubles.live_server import LiveServer, live_server, wait_until
from tests.doubles.waiting import until

pytestmark = pytest.mark.timeout(300)

REQUESTS, CONCURRENCY = 200, 16


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def spec(path: Path, **settings: Any) -> WorkerSpec:
    chosen = msgspec.to_builtins(ModelSettings(context=2048, threads=1, **settings))
    return WorkerSpec(
        "edgellm.runtime.assemble:local_model", {"path": str(path), "info": {"name": "tiny"}, "settings": chosen}
    )


def any_request(chance: random.Random) -> ChatRequest:
    sampling = SamplingParams(
        temperature=chance.choice([0.0, 0.7, 2.0]),
        top_k=chance.choice([0, 1, 40]),
        top_p=chance.choice([0.5, 1.0]),
        min_p=chance.choice([0.0, 0.1]),
        repetition_penalty=chance.choice([1.0, 1.3]),
        logit_bias=chance.choice([{}, {5: 3.0}]),
        seed=chance.randrange(1000),
    )
    return ask(
        "tell me " + "more and " * chance.randrange(60),
        sampling=sampling,
        n=chance.choice([1, 1, 1, 2, 3]),
        max_tokens=chance.randrange(1, 120),
        stop=chance.choice([(), ("qu",)]),
        logprobs=chance.choice([None, 3]),
        priority=chance.choice(["interactive", "batch"]),
        ignore_eos=True,
    )


async def cancelled_somewhere(model: Model, request: ChatRequest, chance: random.Random) -> str:
    """Ask, and leave after a random number of events, or by a cancelled task, or not at all."""
    patience = chance.choice([0, 1, 5, 20, 10**6, 10**6])

    async def listen() -> str:
        async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]
            seen = 0
            async for event in events:
                seen += 1
                assert not isinstance(event, Failed)
                if seen > patience:
                    return "left"
        return "finished"

    task = asyncio.create_task(listen())
    if chance.random() < 0.2:
        await asyncio.sleep(chance.random() * 0.05)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return "cancelled"


async def storm(model: Model, seed: int) -> list[str]:
    chance, gate = random.Random(seed), asyncio.Semaphore(CONCURRENCY)

    async def one(request: ChatRequest, own: random.Random) -> str:
        async with gate:
            return await cancelled_somewhere(model, request, own)

    return await asyncio.gather(*(one(any_request(chance), random.Random(i)) for i in range(REQUESTS)))


@pytest.mark.parametrize("prefix_cache", [True, False])
async def test_a_storm_of_requests_leaves_no_sequence_cell_or_task(tiny: Path, prefix_cache: bool) -> None:
    settings = ModelSettings(context=2048, threads=1, slots=32, prefix_cache=prefix_cache)
    model = LocalModel(lambda: LlamaCppBackend.load(tiny, settings), settings, ModelInfo(name="tiny"))
    outcomes = await storm(model, seed=1)
    assert {"left", "finished"} <= set(outcomes)
    engine = model._engine
    assert engine is not None
    await until(lambda: not engine.busy)
    assert engine.scheduler.running == engine.scheduler.waiting == [] and not model._streams
    # In quiet moments steps are timed on a slot of their own, one short step at a time.
    await until(lambda: engine.cache.running == 0)
    assert len(asyncio.all_tasks()) == 1
    await model.aclose()
    # The engine's thread is gone, so what it owned may be touched from here.
    engine.cache.backend = _Quiet()
    engine.cache.clear()
    assert (engine.cache.used, engine.cache.resident) == (0, 0)


class _Quiet:
    """Stands in for a closed backend."""

    def copy(self, source: int, target: int, length: int) -> None: ...

    def trim(self, slot: int, length: int) -> None: ...


async def test_the_same_storm_through_a_worker_process(tiny: Path) -> None:
    model = ProcessModel(spec(tiny, prefix_cache=False))
    outcomes = await storm(model, seed=2)
    assert {"left", "finished"} <= set(outcomes)

    async def quiet() -> bool:
        status = await model.status()
        return (status.running, status.waiting, status.cells_used, status.sequences_resident) == (0, 0, 0, 0)

    for _ in range(200):
        if await quiet():
            break
        await asyncio.sleep(0.02)
    assert await quiet()
    pid = model.pid
    await model.aclose()
    assert model.pid is None and pid is not None
    assert len(asyncio.all_tasks()) == 1


async def test_kill_9_costs_the_running_requests_only(tiny: Path) -> None:
    model = ProcessModel(spec(tiny))
    await model.start()
    first = model.pid
    assert first is not None
    request = ask("go on", max_tokens=1500, ignore_eos=True)

    async def broken_off() -> Failed:
        killed = False
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                if isinstance(event, Text) and not killed:
                    killed = True
                    os.kill(first, getattr(signal, "SIGKILL", signal.SIGTERM))
                if isinstance(event, Failed):
                    return event
        raise AssertionError("the stream ended as if nothing had happened")

    failed = await broken_off()
    assert failed.code == WorkerDied.code
    events = [event async for event in model.stream(ask("again", max_tokens=4, ignore_eos=True))]
    assert isinstance(events[-1], Finished)
    assert model.pid not in (None, first)
    await model.aclose()


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[LiveServer]:
    with live_server(ProcessModel(spec(tiny, prefix_cache=False))) as running:
        yield running


def test_hang_ups_at_random_moments_stop_the_work(server: LiveServer) -> None:
    chance = random.Random(3)
    plans = [(chance.random() * 0.3, chance.random() < 0.5, chance.randrange(1, 200)) for _ in range(REQUESTS)]

    def one(plan: tuple[float, bool, int]) -> None:
        patience, stream, tokens = plan
        body = {"messages": [{"role": "user", "content": "x " * tokens}], "max_tokens": 1500, "ignore_eos": True}
        with server.begin("/v1/chat/completions", {**body, "stream": stream}) as sock:
            sock.settimeout(patience)
            try:
                while sock.recv(4096):
                    pass
            except TimeoutError:
                pass

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(one, plans))

    def quiet() -> bool:
        status = server.ask("GET", "/health").json()["models"]["tiny"]
        return status["running"] == 0 and status["waiting"] == 0 and status["cells_used"] == 0

    wait_until(quiet)
    reply = server.post(
        "/v1/chat/completions", {"messages": [{"role": "user", "content": "still there?"}], "max_tokens": 3}
    )
    assert reply.status == 200
    assert json.loads(reply.body)["usage"]["completion_tokens"] <= 3


@asynccontextmanager
async def closing(model: ProcessModel) -> AsyncIterator[ProcessModel]:
    try:
        yield model
    finally:
        await model.aclose()


@pytest.fixture
def damaged_files(tiny: Path, tmp_path: Path) -> list[Path]:
    """In turn cut short, with flipped bits in the header, and with an absurd count of tensors or keys."""
    whole, chance, paths = tiny.read_bytes(), random.Random(4), []
    for index in range(12):
        damaged = bytearray(whole[: chance.randrange(20, len(whole))] if index % 3 == 0 else whole)
        for _ in range(8 if index % 3 == 1 else 0):
            damaged[chance.randrange(2000)] ^= 1 << chance.randrange(8)
        if index % 3 == 2:
            at = 8 + 8 * chance.randrange(2)
            damaged[at : at + 8] = (2**63 - chance.randrange(5)).to_bytes(8, "little")
        paths.append(tmp_path / f"{index}.gguf")
        paths[-1].write_bytes(damaged)
    return paths


async def test_damaged_files_are_errors_and_the_parent_lives(damaged_files: list[Path]) -> None:
    refused = 0
    for path in damaged_files:
        async with closing(ProcessModel(spec(path))) as model:
            try:
                await model.start()
            except EdgeLLMError as error:
                refused += 1
                assert not isinstance(error, WorkerDied)
                assert str(path) in str(error)
    assert refused >= 8
