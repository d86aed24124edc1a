"""The requests that a server in this process gets: ASGI calls outside, the model's events inside, one record each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgellm.events import Event, Finished, Reasoning, Started, Text, ToolArguments
from edgellm.model import Model, WrapperModel
from edgellm.request import ChatRequest
from tui.server_control import Served

KEPT = 500
_current: ContextVar[Served | None] = ContextVar("current", default=None)


class RequestLog:
    """ASGI middleware around `app`."""

    def __init__(self) -> None:
        self.requests: deque[Served] = deque(maxlen=KEPT)
        self.changes = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._logged(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return logged

    def counted(self, model: Model) -> Counted:
        """`model`, whose tokens are counted in the record of the request they are for."""
        return Counted(model, self)

    def changed(self) -> None:
        self.changes += 1

    async def _logged(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        served = Served(
            method=scope["method"], path=scope["path"][:200], begun=time.time(), client=client[0] if client else ""
        )
        begun = time.monotonic()
        self.requests.append(served)
        self.changed()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                served.status = message["status"]
                self.changed()
            await send(message)

        token = _current.set(served)
        try:
            await app(scope, receive, noted)
        finally:
            _current.reset(token)
            served.seconds = time.monotonic() - begun
            self.changed()


class Counted(WrapperModel):
    """`running` answers are being written."""

    def __init__(self, inner: Model, log: RequestLog) -> None:
        super().__init__(inner)
        self.running = 0
        self._log = log

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        served = _current.get()
        self.running += 1
        try:
            async with aclosing(cast(AsyncGenerator[Event, None], self.inner.stream(request))) as events:
                async for event in events:
                    if served is not None:
                        self._count(served, event)
                    yield event
        finally:
            self.running -= 1
            self._log.changed()

    def _count(self, served: Served, event: Event) -> None:
        """A piece is taken for a token until the model gives its own count."""
        match event:
            case Started(prompt_tokens=prompt):
                served.prompt_tokens = max(served.prompt_tokens, prompt)
            case Text() | Reasoning() | ToolArguments():
                served.tokens += 1
            case Finished(usage=usage, timings=timings, choice=choice):
                served.tokens = max(served.tokens, usage.completion_tokens) if choice == 0 else served.tokens
                served.per_s = timings.predicted_per_second
        self._log.changed()
