"""`LineStream`: lines of JSON about work that makes no tokens; a client that hangs up ends the work."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgellm.errors import EdgeLLMError
from edgellm.server.error_shape import ollama_error
from edgellm.server.error_status import OK, internal_error, message_of
from edgellm.server.stream import unless_hung_up

_HEADERS = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-cache")]
_log = logging.getLogger("edgellm.server")


class LineStream(Response):
    """The status waits for the first line, so that a refusal has its own; a later error is the last line.

    With `only_last` the client gets nothing but the last line, or the error with its status, once the work is done.
    """

    def __init__(self, lines: AsyncIterator[bytes], *, only_last: bool = False) -> None:
        self.lines = lines
        self.only_last = only_last
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.only_last:
            await unless_hung_up(receive, self._serve(send))
        elif (last := await unless_hung_up(receive, self._last())) is not None:
            await Response(last, OK, media_type="application/json")(scope, receive, send)

    async def _last(self) -> bytes:
        last = b""
        async with aclosing(cast(AsyncGenerator[bytes, None], self.lines)) as lines:
            async for line in lines:
                last = line
        return last.rstrip(b"\n")

    async def _serve(self, send: Send) -> None:
        async with aclosing(cast(AsyncGenerator[bytes, None], self.lines)) as lines:
            first = await anext(lines)
            await send({"type": "http.response.start", "status": OK, "headers": _HEADERS})
            await _write(first, send)
            try:
                async for line in lines:
                    await _write(line, send)
            except Exception as error:
                await _write(_failure(error), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(line: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": line, "more_body": True})


def _failure(error: Exception) -> bytes:
    if isinstance(error, EdgeLLMError):
        return ollama_error(message_of(error)) + b"\n"
    _log.error("a pull broke", exc_info=error)
    return ollama_error(internal_error()[1]) + b"\n"
