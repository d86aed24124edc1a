"""Residents of a pool without processes, and a room of fixed size, which remember all that happens to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from edgellm.errors import EdgeLLMError, Unavailable
from edgellm.machine.machine import Machine
from edgellm.model import ModelInfo
from edgellm.runtime.pool_policy import Size
from edgellm.runtime.resident import Opened
from edgellm.runtime.room import Held, Room

MACHINE = Machine(
    system="Linux",
    arch="x86_64",
    processor="a double",
    total_memory=100,
    available_memory=100,
    physical_cores=1,
    performance_cores=1,
    logical_cores=1,
)


class FixedRoom(Room):
    """So many bytes for all models together."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.size = Size(memory, 0)

    def measure(self, held: Iterable[Held]) -> Size:
        return self.size

    def machine(self, held: Iterable[Held], stays: Size) -> Machine:
        return MACHINE


class FakeResident:
    def __init__(self, shelf: Shelf, key: str) -> None:
        self.info = ModelInfo(name=key)
        self.pid: int | None = None
        self.closed = False
        self._closing = asyncio.Event()
        self._shelf = shelf

    async def start(self) -> None:
        name = self.info.name
        self._shelf.said.append(f"load {name}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._shelf.load_s.get(name, 0.0))
        if self.closed:
            raise Unavailable("it was closed")
        if (error := self._shelf.errors.get(name)) is not None:
            raise error
        self.pid = 0  # nobody's, so that its memory cannot be asked for
        self._shelf.peak = max(self._shelf.peak, self._shelf.bytes())

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self._closing.set()
            self._shelf.said.append(f"unload {self.info.name}")
            await asyncio.sleep(0.002)
            self.pid = None


class Shelf:
    """Opens residents by key: `sizes` in bytes, `load_s` in seconds, `errors` at the load, `broken` at the opening."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.load_s: dict[str, float] = {}
        self.errors: dict[str, Exception] = {}
        self.broken: dict[str, EdgeLLMError] = {}
        self.said: list[str] = []
        self.made: list[FakeResident] = []
        self.peak = 0

    def open(self, key: str, machine: Machine) -> Opened:
        if key in self.broken:
            raise self.broken[key]
        self.made.append(FakeResident(self, key))
        return Opened(self.made[-1], self.sizes[key])

    def bytes(self) -> int:
        return sum(self.sizes[each.info.name] for each in self.made if each.pid is not None)

    def resident(self, key: str) -> FakeResident:
        """The last one opened."""
        return next(each for each in reversed(self.made) if each.info.name == key)
