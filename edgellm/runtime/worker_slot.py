"""`WorkerSlot`: the worker process of one model, started when it is needed and again after it died."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from edgellm import errors
from edgellm.model import ModelInfo
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.worker_process import WorkerProcess

CRASHES = 3
CRASH_WINDOW_S = 60.0
"""A worker that died `CRASHES` times while loading within this time is not started again until it has passed."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """What is hosted instead, for good, once native code crashed: `crashed` hears the exit code, people the `note`."""

    spec: WorkerSpec
    note: str
    crashed: Callable[[int], None]


class WorkerSlot:
    """`info` is what is known before loading, then what the model says of itself.

    The worker's messages go to the file `log`, else to our standard error. Belongs to the event loop that first uses
    it; final once closed.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        info: ModelInfo | None = None,
        log: Path | None = None,
        stand_in: StandIn | None = None,
    ) -> None:
        self.info = info or ModelInfo(name=spec.factory)
        self.process: WorkerProcess | None = None
        self._spec = spec
        self._log = log
        self._stand_in = stand_in
        self._notes: tuple[str, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._closed = False

    @property
    def running(self) -> WorkerProcess | None:
        """The worker while there is one, perhaps still loading."""
        return self.process if self.process is not None and not self.process.exited.done() else None

    @property
    def ready(self) -> WorkerProcess | None:
        """The worker while there is one that has its model loaded."""
        running = self.running
        return running if running is not None and running.loaded.done() else None

    async def loaded(self) -> WorkerProcess:
        """The worker, its model loaded; many may wait for one load, and one who leaves does not end it."""
        loop = asyncio.get_running_loop()
        assert self._loop in (None, loop), "a worker belongs to the event loop that first used it"
        self._loop = loop
        if self._closed:
            raise errors.Unavailable("The model was closed. Load it again to go on.")
        worker = self.running
        if worker is None:
            worker = self.process = self._restart()
        spec = self._spec
        try:
            info = await asyncio.shield(worker.loaded)
        except errors.WorkerDied:
            if worker.crashed is None or (self._stand_in is None and self._spec is spec):
                raise
            return await self.loaded()
        self.info = replace(info, notes=(*info.notes, *self._notes))
        return worker

    async def aclose(self) -> None:
        self._closed = True
        if self.process is not None:
            await self.process.stop()

    def _restart(self) -> WorkerProcess:
        last, self.process = self.process, None
        if last is not None and last.crashed is not None and self._stand_in is not None:
            self._spec, self._notes = self._stand_in.spec, (self._stand_in.note,)
            self._stand_in.crashed(last.crashed)
            self._stand_in = None
            return WorkerProcess(self._spec, self._log)
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
