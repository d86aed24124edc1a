"""Several streams as one, choices numbered across, for requests that hold several prompts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import cast

import msgspec

from edgellm.events import Event
from edgellm.model import Model
from edgellm.request import ChatRequest

AT_ONCE = 16


def stream_all(model: Model, requests: Sequence[ChatRequest]) -> AsyncIterator[Event]:
    """All answers to `requests`, at most `AT_ONCE` in work; choice c of request i becomes i * n + c.

    The first error of any ends them all and is raised here.
    """
    if len(requests) == 1:
        return model.stream(requests[0])
    return _merged(model, requests)


async def _merged(model: Model, requests: Sequence[ChatRequest]) -> AsyncGenerator[Event, None]:
    queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue(maxsize=4 * AT_ONCE)
    slots = asyncio.Semaphore(AT_ONCE)
    tasks = [
        asyncio.create_task(_feed(model, request, i * request.n, slots, queue)) for i, request in enumerate(requests)
    ]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _feed(
    model: Model,
    request: ChatRequest,
    offset: int,
    slots: asyncio.Semaphore,
    queue: asyncio.Queue[Event | Exception | None],
) -> None:
    async with slots, aclosing(cast(AsyncGenerator[Event, None], model.stream(request))) as events:
        try:
            async for event in events:
                await queue.put(msgspec.structs.replace(event, choice=event.choice + offset))
            await queue.put(None)
        except Exception as error:
            await queue.put(error)
