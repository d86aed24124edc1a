"""`ProcessModel`: a `Model` that lives in a process of its own, so that a crash costs its requests and nothing more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgellm import errors
from edgellm.events import Event, Finished
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input
from edgellm.runtime import frames
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.worker_process import WorkerProcess

CRASHES = 3
CRASH_WINDOW_S = 60.0
"""A worker that died `CRASHES` times while loading within this time is not started again until it has passed."""


class ProcessModel:
    """The model of `spec`, in a worker process that is started when needed and again after it died.

    `info` is what is known before loading. The worker's messages go to the file `log`, else to our standard error.
    Belongs to the event loop that first uses it; final once closed.
    """

    def __init__(self, spec: WorkerSpec, info: ModelInfo | None = None, log: Path | None = None) -> None:
        self._spec = spec
        self._info = info or ModelInfo(name=spec.factory)
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: WorkerProcess | None = None
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._closed = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return self._process.pid if self._running() and self._process else None

    async def start(self) -> None:
        await self._loaded()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        began = asyncio.get_running_loop().time()
        was_loaded = self._running() and self._process is not None and self._process.loaded.done()
        worker = await self._loaded()
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
        worker = await self._loaded()
        ids = await worker.call(lambda id: frames.Tokenize(id, input, template_args, tools))
        assert isinstance(ids, list)
        return ids

    async def status(self) -> ModelStatus:
        """All zeros while nothing is loaded; asking loads nothing."""
        if not self._running() or self._process is None or not self._process.loaded.done():
            return ModelStatus()
        status = await self._process.call(frames.Status)
        assert isinstance(status, ModelStatus)
        return status

    async def aclose(self) -> None:
        self._closed = True
        if self._process is not None:
            await self._process.stop()

    async def _loaded(self) -> WorkerProcess:
        """The worker, its model loaded; many may wait for one load, and one who leaves does not end it."""
        loop = asyncio.get_running_loop()
        assert self._loop in (None, loop), "a ProcessModel belongs to the event loop that first used it"
        self._loop = loop
        if self._closed:
            raise errors.Unavailable("The model was closed. Load it again to go on.")
        if self._process is None or not self._running():
            self._process = self._restart()
        worker = self._process
        self._info = await asyncio.shield(worker.loaded)
        return worker

    def _running(self) -> bool:
        return self._process is not None and not self._process.exited.done()

    def _restart(self) -> WorkerProcess:
        last, self._process = self._process, None
        if last is not None and last.died_loading_at is not None:
            self._crashes.append(last.died_loading_at)
        if len(self._crashes) == CRASHES:
            assert self._loop is not None
            wait_s = self._crashes[0] + CRASH_WINDOW_S - self._loop.time()
            if wait_s > 0:
                raise errors.WorkerDied(
                    f"The model's worker process died {CRASHES} times within a minute while loading the model, so it "
                    f"is not started again for {wait_s:.0f} s. Try a smaller model or another file; its log says more."
                )
        return WorkerProcess(self._spec, self._log)


def with_load_time(event: Event, load_ms: float) -> Event:
    """The worker counts from when it has the request; the load that went before is known only here."""
    if not isinstance(event, Finished):
        return event
    return replace(event, timings=replace(event.timings, load_ms=load_ms))
