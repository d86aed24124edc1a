"""`Computed`: one JSON body that takes work, which ends when the client hangs up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgellm.server.error_status import OK
from edgellm.server.stream import unless_hung_up

Work = Callable[[], Awaitable[tuple[bytes, Mapping[str, str]]]]
"""Gives the body and more headers. What it raises becomes the status of the answer."""


class Computed(Response):
    def __init__(self, work: Work) -> None:
        self.work = work
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> tuple[bytes, Mapping[str, str]]:
            return await self.work()

        found = await unless_hung_up(receive, answer())
        if found is not None:
            body, headers = found
            await Response(body, OK, headers, media_type="application/json")(scope, receive, send)
