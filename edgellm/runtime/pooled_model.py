"""`PooledModel`: a `Model` that is in memory while somebody uses it, and longer as its pool sees fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, cast

from msgspec.structs import replace

from edgellm.errors import DeadlineExceeded
from edgellm.events import Event, Finished
from edgellm.messages import Tool
from edgellm.model import Model, ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input
from edgellm.runtime.pool import Lease, Pool

_NOTICED_S = 0.001
"""Waiting that is worth a word in the timings."""


class PooledModel:
    """The model `key` of `pool`; `info` is what is known while it is not loaded. `keep_alive_s` as in `Pool.lease`."""

    def __init__(self, pool: Pool, key: str, info: ModelInfo, keep_alive_s: float | None = None) -> None:
        self._pool = pool
        self._key = key
        self._info = info
        self._keep_alive_s = keep_alive_s

    @property
    def info(self) -> ModelInfo:
        """All that is known once it was loaded, under the name that it is offered by."""
        place = self._pool.place(self._key)
        if place is not None and place.is_ready:
            self._info = replace(place.resident.info, name=self._info.name, created=self._info.created)
        return self._info

    async def start(self) -> None:
        async with self._pool.lease(self._key, self._keep_alive_s):
            _ = self.info

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        async with self._lease(request.deadline_s) as lease:
            _ = self.info
            left = None if request.deadline_s is None else max(0.001, request.deadline_s - lease.waited_s)
            model = cast(Model, lease.resident)
            answer = model.stream(replace(request, deadline_s=left) if lease.waited_s > _NOTICED_S else request)
            async with aclosing(cast(AsyncGenerator[Event, None], answer)) as events:
                async for event in events:
                    yield _timed(event, lease) if isinstance(event, Finished) else event

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        async with self._pool.lease(self._key, self._keep_alive_s) as lease:
            return await cast(Model, lease.resident).tokenize(input, template_args, tools)

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        async with self._pool.lease(self._key, self._keep_alive_s) as lease:
            return await cast(Model, lease.resident).pieces(ids)

    async def status(self) -> ModelStatus:
        place = self._pool.place(self._key)
        if place is None or not place.is_ready:
            return ModelStatus(waiting=self._pool.waiting(self._key))
        return await cast(Model, place.resident).status()

    async def aclose(self) -> None:
        await self._pool.unload(self._key)

    def _lease(self, deadline_s: float | None) -> AbstractAsyncContextManager[Lease]:
        leased = self._pool.lease(self._key, self._keep_alive_s)
        return leased if deadline_s is None else _by_deadline(leased, deadline_s)


@asynccontextmanager
async def _by_deadline(leased: AbstractAsyncContextManager[Lease], deadline_s: float) -> AsyncIterator[Lease]:
    try:
        async with asyncio.timeout(deadline_s):
            lease = await leased.__aenter__()
    except TimeoutError:
        raise DeadlineExceeded(
            f"The model was not in memory within the {deadline_s:g} s that the request allows. Allow it more time."
        ) from None
    try:
        yield lease
    finally:
        await leased.__aexit__(None, None, None)


def _timed(event: Finished, lease: Lease) -> Finished:
    """The worker counts from when it has the request; what went before is known only here."""
    if lease.waited_s <= _NOTICED_S:
        return event
    timings = event.timings
    queue_ms = timings.queue_ms + 1000 * max(0.0, lease.waited_s - lease.load_s)
    return replace(event, timings=replace(timings, load_ms=timings.load_ms + 1000 * lease.load_s, queue_ms=queue_ms))
