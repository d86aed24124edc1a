"""`Pool`: what its policy decides comes to pass, memory is given back, and errors harm nobody else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from edgellm.errors import LoadError, NotEnoughMemory, QueueFull, Unavailable
from edgellm.machine.machine import Machine
from edgellm.request import ask
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.pool import Pool
from edgellm.runtime.process_model import ProcessModel
from edgellm.runtime.resident import Opened
from tests.doubles.residents import FixedRoom, Shelf
from tests.doubles.waiting import until

MakePool = Callable[..., Pool]


@pytest.fixture
async def pool_of() -> AsyncIterator[MakePool]:
    """Makes a pool of a shelf's residents, closed at the end, when nothing of it may be left."""
    made: list[tuple[Pool, Shelf]] = []

    def make(shelf: Shelf, memory: int = 100, keep_alive_s: float = 300.0, **options: Any) -> Pool:
        made.append((Pool(shelf.open, FixedRoom(memory), keep_alive_s, **options), shelf))
        return made[-1][0]

    yield make
    for pool, _ in made:
        await pool.aclose()
    assert all(each.pid is None for _, shelf in made for each in shelf.made)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def use(pool: Pool, key: str, seconds: float = 0.0, keep_alive_s: float | None = None) -> None:
    async with pool.lease(key, keep_alive_s) as lease:
        assert lease.resident.pid is not None
        await asyncio.sleep(seconds)


async def test_one_load_for_all_who_ask(pool_of: MakePool) -> None:
    shelf = Shelf(a=60)
    pool = pool_of(shelf)
    await asyncio.gather(*(use(pool, "a") for _ in range(5)))
    await use(pool, "a")
    assert shelf.said == ["load a"]


async def test_two_that_fit_are_never_swapped(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=40)
    pool = pool_of(shelf)
    for _ in range(10):
        await use(pool, "a")
        await use(pool, "b")
    assert shelf.said == ["load a", "load b"]


async def test_two_that_do_not_fit_take_turns_and_never_overcommit(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=60)
    pool = pool_of(shelf)
    for key in "abab":
        await use(pool, key)
    assert shelf.said == ["load a", "unload a", "load b", "unload b", "load a", "unload a", "load b"]
    assert shelf.peak <= 100


async def test_a_busy_model_is_waited_for(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=60)
    pool = pool_of(shelf)
    order: list[str] = []

    async def work(key: str, seconds: float) -> None:
        await use(pool, key, seconds)
        order.append(key)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work("a", 0.05))
        await until(lambda: pool.place("a") is not None)
        tasks.create_task(work("b", 0.0))
        await until(lambda: pool.waiting("b") == 1)
    assert order == ["a", "b"]


async def test_others_answer_while_one_loads(pool_of: MakePool) -> None:
    shelf = Shelf(a=10, slow=10)
    shelf.load_s["slow"] = 60.0
    pool = pool_of(shelf)
    await use(pool, "a")
    loading = asyncio.create_task(use(pool, "slow"))
    await until(lambda: "load slow" in shelf.said)
    await use(pool, "a")
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)


async def test_nobody_asked_in_time(pool_of: MakePool) -> None:
    shelf = Shelf(a=10, b=10)
    pool = pool_of(shelf, keep_alive_s=0.02)
    await use(pool, "a")
    await use(pool, "b", keep_alive_s=math.inf)
    await until(lambda: "unload a" in shelf.said)
    await asyncio.sleep(0.05)
    assert "unload b" not in shelf.said
    await use(pool, "b", keep_alive_s=0.0)
    await until(lambda: shelf.said[-1] == "unload b")
    await until(lambda: pool.place("b") is None)


async def test_a_pinned_model_stays_until_it_is_told_to_go(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=60)
    pool = pool_of(shelf, keep_alive_s=0.0)
    pool.pin("a")
    await use(pool, "a")
    await use(pool, "a", keep_alive_s=0.001)
    await asyncio.sleep(0.02)
    assert shelf.said == ["load a"]
    with pytest.raises(NotEnoughMemory, match=r"b needs .* beside a") as caught:
        await use(pool, "b")
    assert (caught.value.needed, caught.value.available) == (60, 40)
    await pool.unload("a")
    await use(pool, "b", keep_alive_s=math.inf)
    assert shelf.said == ["load a", "unload a", "load b"]


async def test_unloading_waits_for_those_who_use_it(pool_of: MakePool) -> None:
    shelf = Shelf(a=60)
    pool = pool_of(shelf)
    async with pool.lease("a"):
        leaving = asyncio.create_task(pool.unload("a"))
        await asyncio.sleep(0.01)
        assert shelf.said == ["load a"]
    await leaving
    assert shelf.said == ["load a", "unload a"] and pool.place("a") is None
    await pool.unload("a")


async def test_a_load_that_fails_is_told_to_all_and_harms_nobody(pool_of: MakePool, monkeypatch: Any) -> None:
    monkeypatch.setattr("edgellm.runtime.pool._AGAIN_S", 0.0)
    shelf = Shelf(bad=60, odd=10, good=60)
    shelf.errors = {"bad": LoadError("it is damaged"), "odd": ValueError("a bug")}
    pool = pool_of(shelf)
    found = await asyncio.gather(use(pool, "bad"), use(pool, "bad"), return_exceptions=True)
    assert [str(error) for error in found] == ["it is damaged", "it is damaged"]
    with pytest.raises(LoadError, match="ValueError"):
        await use(pool, "odd")
    await use(pool, "good")
    del shelf.errors["bad"]
    await use(pool, "bad")


async def test_a_load_that_failed_is_not_tried_again_at_once(pool_of: MakePool) -> None:
    shelf = Shelf(bad=60)
    shelf.errors["bad"] = LoadError("it is damaged")
    pool = pool_of(shelf)
    for _ in range(5):
        with pytest.raises(LoadError, match="damaged"):
            await use(pool, "bad")
    assert shelf.said.count("load bad") == 1


async def test_what_cannot_be_opened_is_said(pool_of: MakePool) -> None:
    shelf = Shelf(bad=60, huge=101)
    shelf.broken["bad"] = NotEnoughMemory("it needs more", 5, 3)
    pool = pool_of(shelf)
    with pytest.raises(NotEnoughMemory, match="it needs more"):
        await use(pool, "bad")
    with pytest.raises(NotEnoughMemory, match="huge needs"):
        await use(pool, "huge")
    unchecked = pool_of(shelf, check=False)
    await use(unchecked, "huge")


async def test_who_leaves_while_waiting_leaves_nothing(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=60)
    pool = pool_of(shelf)
    async with pool.lease("a"):
        waiting = asyncio.create_task(use(pool, "b"))
        await until(lambda: pool.waiting("b") == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert pool.waiting("b") == 0
    await asyncio.sleep(0.01)
    assert shelf.said == ["load a"]


async def test_a_load_goes_on_when_the_one_who_asked_has_left(pool_of: MakePool) -> None:
    shelf = Shelf(a=60)
    shelf.load_s["a"] = 0.02
    pool = pool_of(shelf)
    waiting = asyncio.create_task(use(pool, "a"))
    await until(lambda: "load a" in shelf.said)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await use(pool, "a")
    assert shelf.said == ["load a"]


async def test_a_worker_that_died_is_loaded_again(pool_of: MakePool) -> None:
    shelf = Shelf(a=60, b=60)
    pool = pool_of(shelf)
    await use(pool, "a")
    shelf.resident("a").pid = None
    await use(pool, "b")
    await use(pool, "a")
    assert shelf.said == ["load a", "unload a", "load b", "unload b", "load a"]


async def test_only_so_many_may_wait(pool_of: MakePool) -> None:
    shelf = Shelf(a=60)
    shelf.load_s["a"] = 60.0
    pool = pool_of(shelf, queue=2)
    waiting = [asyncio.create_task(use(pool, "a")) for _ in range(2)]
    await until(lambda: pool.waiting("a") == 2)
    with pytest.raises(QueueFull):
        await use(pool, "a")
    await pool.aclose()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in found)
    with pytest.raises(Unavailable):
        await use(pool, "a")


async def test_many_clients_of_many_models(pool_of: MakePool) -> None:
    """Nobody waits for ever, whatever leaves meanwhile; there is never more in memory than fits."""
    shelf = Shelf(a=60, b=60, c=30, d=20)
    shelf.load_s = {"a": 0.005, "b": 0.002}
    pool = pool_of(shelf, keep_alive_s=0.004)
    served = 0

    async def client(number: int) -> None:
        nonlocal served
        for turn in range(6):
            key = "abcd"[(number * 7 + turn * turn) % 4]
            asked = asyncio.create_task(use(pool, key, 0.001))
            if (number + turn) % 5 == 0:
                await asyncio.sleep(0.003)
                asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            served += not asked.cancelled()

    await asyncio.gather(*(client(number) for number in range(16)))
    assert served > 60
    assert shelf.peak <= 100


async def test_unloading_ends_the_process_and_a_killed_one_comes_back(no_leftovers: None) -> None:
    def open_one(key: str, machine: Machine) -> Opened:
        return Opened(ProcessModel(WorkerSpec("tests.doubles.scripted:make", {"events": 2})), 60)

    pool = Pool(open_one, FixedRoom(100))
    pids: list[int] = []
    for _ in range(2):
        async with pool.lease("a") as lease:
            model = lease.resident
            assert isinstance(model, ProcessModel) and model.pid is not None
            pids.append(model.pid)
            assert len([event async for event in model.stream(ask("x"))]) == 4
        psutil.Process(pids[-1]).kill()
        await until(lambda pid=pids[-1]: not psutil.pid_exists(pid))
        await until(lambda: pool.place("a") is None or pool.place("a").leaving)
    async with pool.lease("a") as lease:
        assert lease.resident.pid not in pids
        last = lease.resident.pid
    await pool.unload("a")
    assert not psutil.pid_exists(last)
    await pool.aclose()
