"""Send a model's events as one JSON body or as a stream; a client that hangs up cancels the model's work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, Protocol, TypeVar, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgellm.errors import EdgeLLMError, Unavailable, from_code
from edgellm.events import Event, Failed
from edgellm.server.error_status import OK, internal_error, message_of
from edgellm.server.framing import OPENAI, Framing
from edgellm.server.outbox import Outbox

PING_S = 15.0
_LAST_WORD_S = 1.0
_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_log = logging.getLogger("edgellm.server")
_T = TypeVar("_T")


class Chunks(Protocol):
    """A dialect's streaming side."""

    def chunk(self, event: Event) -> bytes:
        """What goes out for `event`; b"" where the dialect has nothing for it."""
        ...

    def end(self) -> bytes:
        """What follows the last event."""
        ...


class Whole(Protocol):
    """A dialect's other side: gather all events, then give one body."""

    def add(self, event: Event) -> None: ...

    def body(self) -> bytes: ...


class WholeReply(Response):
    """Answer with one JSON body once every choice is complete; `Failed` becomes the status of its error."""

    def __init__(self, events: AsyncIterator[Event], whole: Whole, headers: Mapping[str, str] | None = None) -> None:
        self.events = events
        self.whole = whole
        self.more_headers = headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await unless_hung_up(receive, self._gather())
        if body is not None:
            await Response(body, OK, self.more_headers, media_type="application/json")(scope, receive, send)

    async def _gather(self) -> bytes:
        async with _closing(self.events) as events:
            async for event in events:
                if isinstance(event, Failed):
                    raise from_code(event.code, event.message, event.details)
                self.whole.add(event)
        return self.whole.body()


class EventStream(Response):
    """Answer with a stream. The status waits for the first event, so that a refusal has its own."""

    def __init__(
        self,
        events: AsyncIterator[Event],
        chunks: Chunks,
        framing: Framing = OPENAI,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.events = events
        self.chunks = chunks
        self.framing = framing
        self.more_headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_hung_up(receive, self._serve(send))

    async def _serve(self, send: Send) -> None:
        async with _closing(self.events) as events:
            try:
                first = await anext(events)
            except StopAsyncIteration:
                raise EdgeLLMError("The model gave no answer at all.") from None
            headers = [(b"content-type", self.framing.media_type), *_HEADERS, *self.more_headers]
            await send({"type": "http.response.start", "status": OK, "headers": headers})
            outbox = Outbox()
            pump = asyncio.create_task(self._pump(first, events, outbox))
            try:
                await _write(outbox, self.framing.ping, send)
            except asyncio.CancelledError:
                # Either nobody listens any more, or the server stops: then the client deserves a word.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORD_S):
                        await _send_last(send, self._failure(Unavailable("The server is shutting down.")))
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, first: Event, events: AsyncIterator[Event], outbox: Outbox) -> None:
        """Read the model into `outbox`. Its own task, so that events pile up to one write while the socket is slow."""
        try:
            self._put(first, outbox)
            if not isinstance(first, Failed):
                async for event in events:
                    self._put(event, outbox)
                    if isinstance(event, Failed):
                        return
                    await outbox.room()
                outbox.put(self.chunks.end())
        except Exception as error:
            outbox.put(self._failure(error))
        finally:
            outbox.close()

    def _put(self, event: Event, outbox: Outbox) -> None:
        if isinstance(event, Failed):
            outbox.put(self._failure(from_code(event.code, event.message, event.details)))
        else:
            outbox.put(self.chunks.chunk(event))

    def _failure(self, error: Exception) -> bytes:
        if isinstance(error, EdgeLLMError):
            return self.framing.error(error.code, message_of(error))
        _log.error("a stream broke", exc_info=error)
        return self.framing.error(*internal_error())


async def _write(outbox: Outbox, ping: bytes, send: Send) -> None:
    """Empty `outbox` into the socket until it closes, with a `ping` now and then while there is nothing to say."""
    pings = asyncio.create_task(_ping(outbox, ping))
    try:
        while data := await outbox.take():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await _send_last(send, b"")
    finally:
        pings.cancel()


async def _ping(outbox: Outbox, ping: bytes) -> None:
    while True:
        before = outbox.puts
        await asyncio.sleep(PING_S)
        if outbox.puts == before:
            outbox.put(ping)


async def _send_last(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": False})


def _closing(events: AsyncIterator[Event]) -> aclosing[AsyncGenerator[Event, None]]:
    return aclosing(cast(AsyncGenerator[Event, None], events))


async def unless_hung_up(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T | None:
    """What `work` returns, or None once the client has gone; `work` has ended when this returns.

    The only one who cancels from above is a server that stops: that is Unavailable, unless `work` found its own end.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_hang_up(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    except asyncio.CancelledError:
        if task.cancelled():
            raise
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            raise Unavailable("The server is shutting down. Ask again when it is back.") from None
        return task.result()
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
