"""`Pool`: loads models when they are asked for, keeps them by memory, and lets them go; `pool_policy` decides."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from edgellm.errors import EdgeLLMError, LoadError, NotEnoughMemory, QueueFull, Unavailable
from edgellm.fit import words
from edgellm.machine.machine import Machine
from edgellm.runtime.pool_place import Place
from edgellm.runtime.pool_policy import Size, Wish, decide, total
from edgellm.runtime.resident import Opened, Resident
from edgellm.runtime.room import Room
from edgellm.telemetry import log

_log = log.get("pool")
_START_S, _BYTES_PER_S = 0.5, 1e9
"""What a load is guessed to take before it was seen: a process's start, and reading the file."""
_AGAIN_S = 1.0
"""For so long after a load that failed, the next request hears the same, instead of trying once more."""

Open = Callable[[str, Machine], Opened]


class Lease(msgspec.Struct, frozen=True):
    """A model in memory, for as long as the lease runs; `load_s` of the `waited_s` it was loading."""

    resident: Resident
    waited_s: float
    load_s: float


class _Waiter:
    """One request in the queue; `ready` gets its place, or the error that ends it."""

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self.arrived = now
        self.ready: asyncio.Future[Place] = asyncio.get_running_loop().create_future()


class Pool:
    """`open` makes a model of a key, not loaded yet, planned for the machine it is given; it may block.

    Unless told otherwise a model is kept for `keep_alive_s` after its last request; `queue` requests may wait. With
    `check` off, a model that does not fit is tried all the same, alone. Belongs to the event loop that uses it first.
    """

    def __init__(
        self, open: Open, room: Room, keep_alive_s: float = 300.0, *, queue: int = 256, check: bool = True
    ) -> None:
        self._open = open
        self._room = room
        self._keep_alive_s = keep_alive_s
        self._most_waiting = queue
        self._check = check
        self._size = Size()
        self._places: dict[str, Place] = {}
        self._waiting: dict[int, _Waiter] = {}
        self._planned: dict[str, Opened] = {}  # for somebody who waits, and not loaded yet
        self._planning: set[str] = set()
        self._pinned: set[str] = set()
        self._load_s: dict[str, float] = {}
        self._failed: dict[str, tuple[float, EdgeLLMError]] = {}
        self._ids = itertools.count()
        self._draining: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def lease(self, key: str, keep_alive_s: float | None = None) -> AsyncIterator[Lease]:
        """Wait until the model is in memory, and hold it there.

        Raises LoadError, NotEnoughMemory, QueueFull, and Unavailable once the pool is closed.
        """
        began = self._now()
        place = await self._enter(key)
        try:
            waited = self._now() - began
            loaded_for = min(waited, place.ready_at - max(place.began, began))
            yield Lease(place.resident, waited, max(0.0, loaded_for))
        finally:
            place.leave(self._now(), keep_alive_s)
            if keep_alive_s == 0.0:
                self._pinned.discard(key)
            self._step()

    async def unload(self, key: str) -> None:
        """Let it go once its requests are done; returns then. Nothing happens where it is not in memory."""
        self._pinned.discard(key)
        if (place := self._places.get(key)) is not None:
            place.keep(self._now(), 0.0)
            self._step()
            await asyncio.shield(place.gone)

    def pin(self, key: str) -> None:
        """Never let it go of its own accord; loads nothing."""
        self._pinned.add(key)
        if (place := self._places.get(key)) is not None:
            place.pinned = True

    def place(self, key: str) -> Place | None:
        """Where it stands, if it is in memory or on its way."""
        self._bury_dead()
        return self._places.get(key)

    def waiting(self, key: str) -> int:
        return sum(waiter.key == key for waiter in self._waiting.values())

    async def aclose(self) -> None:
        """End all that waits and unload everything, whatever runs. Idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiting.values():
            _fail(waiter, _closed())
        self._waiting.clear()
        for place in list(self._places.values()):
            self._let_go(place)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- the queue ------------------------------------------------------------------------------------------------

    async def _enter(self, key: str) -> Place:
        """The place of a model that is ready, already entered; its caller has to leave it."""
        if self._closed:
            raise _closed()
        if len(self._waiting) >= self._most_waiting:
            raise QueueFull(f"{len(self._waiting)} requests wait for models already. Try again shortly.", 5.0)
        failed = self._failed.get(key)
        if failed is not None and self._now() < failed[0] + _AGAIN_S:
            raise failed[1]
        self._waiting[id := next(self._ids)] = waiter = _Waiter(key, self._now())
        self._step()
        try:
            return await waiter.ready
        except asyncio.CancelledError:
            if waiter.ready.done() and not waiter.ready.cancelled() and waiter.ready.exception() is None:
                waiter.ready.result().leave(self._now(), None)  # it was let in as it went
            raise
        finally:
            self._waiting.pop(id, None)
            if not self.waiting(key):
                self._planned.pop(key, None)
            self._step()

    def _plan_missing(self) -> None:
        """Have planned, beside the event loop, what somebody waits for and is not in memory."""
        wanted = {waiter.key for waiter in self._waiting.values() if not waiter.ready.done()}
        for key in wanted.difference(self._places, self._planned, self._planning):
            self._planning.add(key)
            self._in_background(self._plan(key))

    async def _plan(self, key: str) -> None:
        places = list(self._places.values())
        stays = total(place.size for place in places if place.pinned and place.key != key)
        held = [place.held for place in places if place.is_ready]
        try:
            opened = await asyncio.to_thread(lambda: self._open(key, self._room.machine(held, stays)))
            if self.waiting(key):
                self._planned[key] = opened
        except Exception as error:
            self._fail_all(key, _told(key, error))
        finally:
            self._planning.discard(key)
            self._step()

    def _step(self) -> None:
        """Have it decided what is to be done now, and do it."""
        if self._closed:
            return
        self._bury_dead()
        self._plan_missing()
        if self._planned:
            self._measure()
        wishes = [self._wish(id, each) for id, each in self._waiting.items() if self._is_open(each)]
        seats = [place.seat() for place in self._places.values()]
        found = decide(seats, wishes, self._size, self._now(), self._draining)
        self._draining = found.draining
        for id in found.admit:
            self._admit(self._waiting[id])
        for wish in wishes:
            if wish.id in found.refuse:
                _fail(self._waiting[wish.id], self._too_large(wish))
        for key in found.unload:
            self._let_go(self._places[key])
        for key in found.load:
            self._begin(next(wish for wish in wishes if wish.key == key))
        self._wake_at(found.wake_at)

    def _is_open(self, waiter: _Waiter) -> bool:
        return not waiter.ready.done() and (waiter.key in self._places or waiter.key in self._planned)

    def _wish(self, id: int, waiter: _Waiter) -> Wish:
        place = self._places.get(waiter.key)
        size = place.size if place is not None else self._sized(self._planned[waiter.key])
        expected_s = self._load_s.get(waiter.key, _START_S + (size.memory + size.gpu) / _BYTES_PER_S)
        return Wish(id=id, key=waiter.key, size=size, arrived=waiter.arrived, load_s=expected_s)

    def _sized(self, opened: Opened) -> Size:
        size = Size(opened.memory_bytes, opened.gpu_bytes, int(opened.on_servers))
        if self._check:
            return size
        most = self._attainable()
        return Size(min(size.memory, most.memory), min(size.gpu, most.gpu), size.servers)

    def _admit(self, waiter: _Waiter) -> None:
        place = self._places[waiter.key]
        place.enter()
        waiter.ready.set_result(place)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at < math.inf:
            self._timer = asyncio.get_running_loop().call_at(at + 0.001, self._step)

    # -- loading and unloading ------------------------------------------------------------------------------------

    def _begin(self, wish: Wish) -> None:
        opened = self._planned.pop(wish.key)
        place = Place(wish.key, opened, wish.size, wish.load_s, self._now(), pinned=wish.key in self._pinned)
        place.keep_alive_s = self._keep_alive_s
        self._places[wish.key] = place
        self._in_background(self._load(place))

    async def _load(self, place: Place) -> None:
        try:
            await place.resident.start()
        except Exception as error:
            reason = _told(place.key, error)
            if not place.leaving:
                self._failed[place.key] = (self._now(), reason)
                _log.warning("a model did not load", model=place.key, reason=str(reason))
            self._fail_all(place.key, _closed() if self._closed else reason)
            self._let_go(place)
        else:
            if not place.leaving:
                place.loaded(self._now())
                self._load_s[place.key] = place.load_s
                self._step()

    def _let_go(self, place: Place) -> None:
        if not place.leaving:
            place.leaving = True
            self._in_background(self._unload(place))

    async def _unload(self, place: Place) -> None:
        try:
            await place.resident.aclose()
        except Exception:
            _log.error("a model did not close", model=place.key, exc_info=True)
        if self._places.get(place.key) is place:
            del self._places[place.key]
        place.gone.set_result(None)
        self._step()

    def _bury_dead(self) -> None:
        """A worker that died gave its memory back: nobody waits for it, and the next request loads it again."""
        for place in self._places.values():
            if place.is_ready and not place.running and place.resident.pid is None:
                self._let_go(place)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail_all(self, key: str, error: EdgeLLMError) -> None:
        for waiter in self._waiting.values():
            if waiter.key == key:
                _fail(waiter, error)

    # -- what is known --------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """While something comes or goes, what is free says little: then the last measure holds."""
        if all(place.is_ready for place in self._places.values()):
            self._size = self._room.measure([place.held for place in self._places.values()])

    def _attainable(self) -> Size:
        """What a model can have at most: all but what is pinned."""
        left = self._size - total(place.size for place in self._places.values() if place.pinned)
        return Size(max(0, left.memory), max(0, left.gpu), left.servers)

    def _too_large(self, wish: Wish) -> NotEnoughMemory:
        left = self._attainable()
        pinned = [place.resident.info.name for place in self._places.values() if place.pinned]
        beside = f" beside {', '.join(pinned)}" if pinned else ""
        if wish.size.servers > left.servers:
            return NotEnoughMemory(
                f"RPC servers serve one model at a time, and these stay: {', '.join(pinned)}. Stop them first."
            )
        kind, needed, room = "memory", wish.size.memory, left.memory
        if needed <= room:
            kind, needed, room = "GPU memory", wish.size.gpu, left.gpu
        return NotEnoughMemory(
            f"{self._planned[wish.key].resident.info.name} needs {words.size(needed)} of {kind}, and the models here "
            f"may take {words.size(room)}{beside}. Stop what takes memory, or ask for a smaller model.",
            needed,
            room,
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _fail(waiter: _Waiter, error: EdgeLLMError) -> None:
    if not waiter.ready.done():
        waiter.ready.set_exception(error)


def _closed() -> Unavailable:
    return Unavailable("The models are being unloaded: the server stops. Ask again when it is back.")


def _told(key: str, error: Exception) -> EdgeLLMError:
    if isinstance(error, EdgeLLMError):
        return error
    _log.error("a load broke", model=key, exc_info=error)
    return LoadError(f"The model cannot be loaded: {type(error).__name__}. The log says more.")
