"""`EmbeddingQueue`: the inputs of all requests, computed side by side, a turn for each request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgellm.backends.embedding import EmbeddingBackend, Rows
from edgellm.errors import QueueFull

Ids = Sequence[int]


class _Request:
    """What was asked for at once, and the rows there are already."""

    def __init__(self, inputs: Sequence[Ids], width: int, done: asyncio.Future[Rows]) -> None:
        self.inputs = inputs
        self.begun = 0
        self.done = done
        self._left = len(inputs)
        self._rows = np.zeros((len(inputs), width), np.float32)

    def take(self, index: int, row: Rows) -> None:
        self._rows[index] = row
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._rows)


class EmbeddingQueue:
    """Belongs to one event loop; `thread`, of one thread, alone computes. At most `room` requests may be in it."""

    def __init__(self, backend: EmbeddingBackend, thread: ThreadPoolExecutor, room: int) -> None:
        self._backend = backend
        self._thread = thread
        self._room = room
        self._waiting: deque[_Request] = deque()
        self._requests = 0
        self._runner: asyncio.Task[None] | None = None

    async def rows(self, inputs: Sequence[Ids]) -> Rows:
        """A row for each of `inputs`, none of which is empty or too long. Raises QueueFull and BackendError."""
        if self._requests >= self._room:
            raise QueueFull(f"{self._requests} requests wait for embeddings already. Ask again in a moment.")
        if not inputs:
            return np.zeros((0, self._backend.width), np.float32)
        request = _Request(inputs, self._backend.width, asyncio.get_running_loop().create_future())
        self._requests += 1
        self._waiting.append(request)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            return await request.done
        finally:
            self._requests -= 1
            if request in self._waiting:
                self._waiting.remove(request)

    async def aclose(self) -> None:
        """Returns once nothing is computed any more."""
        for request in self._waiting:
            request.done.cancel()
        self._waiting.clear()
        if self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            inputs = [request.inputs[index] for request, index in batch]
            try:
                rows = await loop.run_in_executor(self._thread, self._backend.compute, inputs)
            except Exception as error:
                self._fail([request for request, _ in batch], error)
                continue
            for (request, index), row in zip(batch, rows, strict=True):
                request.take(index, row)

    def _next(self) -> list[tuple[_Request, int]]:
        """As many inputs as the backend computes at once, one of each request in turn."""
        batch: list[tuple[_Request, int]] = []
        tokens = 0
        while self._waiting and len(batch) < self._backend.sequences:
            request = self._waiting[0]
            tokens += len(request.inputs[request.begun])
            if batch and tokens > self._backend.batch:
                break
            batch.append((request, request.begun))
            request.begun += 1
            self._waiting.popleft()
            if request.begun < len(request.inputs):
                self._waiting.append(request)
        return batch

    def _fail(self, requests: list[_Request], error: Exception) -> None:
        for request in requests:
            if not request.done.done():
                request.done.set_exception(error)
            if request in self._waiting:
                self._waiting.remove(request)
