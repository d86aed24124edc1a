"""`WatchedModels`: hands out models whose answers are put on the record, and end at the request's deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import msgspec

from edgellm.errors import DeadlineExceeded
from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.model import Model, WrapperModel
from edgellm.request import ChatRequest, Input
from edgellm.runtime.standing import Standing
from edgellm.server.models import Models
from edgellm.server.record import Record, current


class WatchedModel(WrapperModel):
    """A model as one HTTP request sees it; costs nothing where there is no record of the request."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        record = current.get() or Record("", "", "")
        record.model = self.info.name
        if record.deadline is not None:
            left = max(0.001, record.deadline - time.monotonic())
            request = msgspec.structs.replace(request, deadline_s=min(left, request.deadline_s or left))
        inner = cast(AsyncGenerator[Event, None], self.inner.stream(request))
        async with aclosing(inner) as events:
            if record.deadline is None:
                async for event in events:
                    record.add(event)
                    yield event
                return
            while (late := await _next(events, record.deadline)) is not None:
                record.add(late)
                yield late

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        record = current.get()
        async with _until(record.deadline if record else None):
            return await self.inner.tokenize(input, template_args, tools)


class WatchedModels:
    """`Models` around `inner`."""

    def __init__(self, inner: Models) -> None:
        self.inner = inner

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        return WatchedModel(await self.inner.get(name, keep_alive))

    @asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Any]:
        record = current.get()
        async with _until(record.deadline if record else None), self.inner.embedder(name, keep_alive) as embedder:
            if record is not None:
                record.model = embedder.info.name
            yield embedder

    async def list(self) -> Sequence[Standing]:
        return await self.inner.list()

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        return await self.inner.loaded()

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        await self.inner.load(name, keep_alive)

    async def unload(self, name: str) -> None:
        await self.inner.unload(name)

    def changed(self) -> None:
        self.inner.changed()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _next(events: AsyncGenerator[Event, None], deadline: float) -> Event | None:
    """The next event, None after the last. Raises DeadlineExceeded."""
    async with _until(deadline):
        return await anext(events, None)


@asynccontextmanager
async def _until(deadline: float | None) -> AsyncIterator[None]:
    """Cancels what is done in it at `deadline`, in seconds of `time.monotonic`, and raises DeadlineExceeded."""
    left = None if deadline is None else deadline - time.monotonic()
    try:
        async with asyncio.timeout(left) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceeded("The request's deadline passed. Allow more time, or ask for fewer tokens.") from None
