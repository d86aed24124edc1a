"""Two real models under a limit that holds one: they take turns, each in a process that ends with it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from edgellm import config
from edgellm.errors import NotEnoughMemory
from edgellm.events import Finished, Text
from edgellm.model import Model
from edgellm.request import GREEDY, ask
from edgellm.server.pooled_models import PooledModels
from tests import models
from tests.doubles.shelved import shelve
from tests.doubles.waiting import until

pytestmark = pytest.mark.model
SMALL = {
    "context": 256,
    "slots": 2,
    "parallel": 2,
    "batch": 64,
    "prefix_memory": 1,
    "draft": "none",
    "backend": "llama.cpp",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    file = models.path("smollm2")
    for name in ("one", "two"):
        shelve(tmp_path, name, file)
    return tmp_path


async def say(model: Model) -> tuple[str, float]:
    """The answer, and the milliseconds that its load took."""
    text, load_ms = "", 0.0
    request = ask("Name a colour.", sampling=GREEDY, max_tokens=4)
    async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]
        async for event in events:
            text += event.text if isinstance(event, Text) else ""
            load_ms = event.timings.load_ms if isinstance(event, Finished) else load_ms
    return text, load_ms


def workers() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def test_real_models_take_turns_and_give_their_memory_back(home: Path) -> None:
    before = workers()
    pool = PooledModels(config.load({"models_memory": 300, **SMALL}, environ={}))
    try:
        one, two = await pool.get("one"), await pool.get("two")
        first, load_ms = await say(one)
        assert first and load_ms > 0
        assert await say(one) == (first, 0.0)
        (pid,) = workers() - before
        assert (await say(two))[0] == first
        assert not psutil.pid_exists(pid)
        assert len(workers() - before) == 1
        (standing,) = [each for each, _ in await pool.loaded()]
        assert standing.info.name == "two" and 100 << 20 < standing.memory_bytes <= 300 << 20
        await (await pool.get("two", 0.0)).start()
        await until(lambda: workers() == before)
    finally:
        await pool.aclose()
    assert workers() == before


@pytest.mark.slow
async def test_clients_of_both_at_once_are_all_answered(home: Path) -> None:
    pool = PooledModels(config.load({"models_memory": 300, **SMALL}, environ={}))
    try:
        both = [await pool.get(name) for name in ("one", "two")]
        answers = await asyncio.gather(*(say(both[i % 2]) for i in range(8)))
        assert len({text for text, _ in answers}) == 1
        assert len(await pool.loaded()) == 1
    finally:
        await pool.aclose()


async def test_a_real_model_that_cannot_fit_is_refused_before_it_is_loaded(home: Path) -> None:
    pool = PooledModels(config.load({"models_memory": 50, **SMALL}, environ={}))
    try:
        with pytest.raises(NotEnoughMemory, match="one needs"):
            await say(await pool.get("one"))
    finally:
        await pool.aclose()
