"""`PooledModel`: loaded for a request, with its wait in the timings and the request's deadline over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgellm.errors import DeadlineExceeded
from edgellm.events import Finished
from edgellm.machine.machine import Machine
from edgellm.model import ModelInfo
from edgellm.request import Prompt, ask
from edgellm.runtime.pool import Pool
from edgellm.runtime.pooled_model import PooledModel
from edgellm.runtime.resident import Opened
from tests.doubles.echo_model import EchoModel
from tests.doubles.residents import FixedRoom


class Loaded(EchoModel):
    pid: int | None = None

    async def start(self) -> None:
        await super().start()
        self.pid = 0

    async def aclose(self) -> None:
        self.pid = None


@pytest.fixture
async def double() -> Loaded:
    return Loaded("its own name")


@pytest.fixture
async def model(double: Loaded) -> AsyncIterator[PooledModel]:
    def open_double(key: str, machine: Machine) -> Opened:
        return Opened(double, 60)

    pool = Pool(open_double, FixedRoom(100))
    yield PooledModel(pool, "key", ModelInfo(name="offered"))
    await pool.aclose()


async def finished(model: PooledModel, **options: object) -> Finished:
    events = [event async for event in model.stream(ask("one two", **options))]
    last = events[-1]
    assert isinstance(last, Finished)
    return last


async def test_the_first_request_waits_for_the_load_and_says_so(model: PooledModel, double: Loaded) -> None:
    double.load_s = 0.03
    assert model.info.context_length == 0
    assert (await finished(model)).timings.load_ms >= 25
    assert (await finished(model)).timings.load_ms == 0.0
    assert (model.info.name, model.info.context_length) == ("offered", 512)


async def test_a_deadline_holds_for_the_load_and_what_is_left_for_the_answer(
    model: PooledModel, double: Loaded
) -> None:
    double.load_s = 0.05
    with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
        await finished(model, deadline_s=0.01)
    await finished(model, deadline_s=30.0)
    left = double.requests[0].deadline_s
    assert left is not None and 0.0 < left < 30.0


async def test_everything_else_loads_it_too_but_asking_how_it_is(model: PooledModel, double: Loaded) -> None:
    assert (await model.status()).running == 0 and not double.loaded
    assert await model.tokenize(Prompt("a bb")) == [1, 2]
    assert await model.pieces([2]) == [b"xx"]
    await model.aclose()
    assert double.pid is None
    await asyncio.wait_for(model.start(), 5)
    assert double.pid == 0
