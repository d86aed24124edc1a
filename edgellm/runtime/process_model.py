"""`ProcessModel`: a `Model` that lives in a process of its own, so that a crash costs its requests and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgellm.events import Event, Finished
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input
from edgellm.runtime import frames
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.worker_slot import StandIn, WorkerSlot


class ProcessModel:
    """The model of `spec`, in a worker process that is started when needed and again after it died.

    `info` is what is known before loading. The worker's messages go to the file `log`, else to our standard error.
    Belongs to the event loop that first uses it; final once closed.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        info: ModelInfo | None = None,
        log: Path | None = None,
        stand_in: StandIn | None = None,
    ) -> None:
        self._slot = WorkerSlot(spec, info, log, stand_in)

    @property
    def info(self) -> ModelInfo:
        return self._slot.info

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return self._slot.running.pid if self._slot.running else None

    async def start(self) -> None:
        await self._slot.loaded()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        began = asyncio.get_running_loop().time()
        was_loaded = self._slot.ready is not None
        worker = await self._slot.loaded()
        load_ms = 0.0 if was_loaded else (asyncio.get_running_loop().time() - began) * 1000
        answer = worker.ask(request)
        try:
            while events := await answer.take():
                for event in events:
                    yield with_load_time(event, load_ms) if load_ms else event
                worker.credit(answer, len(events))
        finally:
            worker.drop(answer)

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        worker = await self._slot.loaded()
        ids = await worker.call(lambda id: frames.Tokenize(id, input, template_args, tools))
        assert isinstance(ids, list)
        return ids

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        worker = await self._slot.loaded()
        told = await worker.call(lambda id: frames.Pieces(id, list(ids)))
        assert isinstance(told, frames.Spelled)
        return told.pieces

    async def status(self) -> ModelStatus:
        """All zeros while nothing is loaded; asking loads nothing."""
        worker = self._slot.ready
        if worker is None:
            return ModelStatus()
        status = await worker.call(frames.Status)
        assert isinstance(status, ModelStatus)
        return status

    async def aclose(self) -> None:
        await self._slot.aclose()


def with_load_time(event: Event, load_ms: float) -> Event:
    """The worker counts from when it has the request; the load that went before is known only here."""
    if not isinstance(event, Finished):
        return event
    return replace(event, timings=replace(event.timings, load_ms=load_ms))
