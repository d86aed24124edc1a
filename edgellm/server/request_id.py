"""Every response carries x-request-id: the caller's own where it sent a sound one, else a new one."""

from __future__ import annotations

import logging
import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgellm.server.error_status import internal_error, refusal

_SOUND = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_log = logging.getLogger("edgellm.server")


class RequestId:
    """The outermost ASGI middleware; because it knows the id, it also is the last net for bugs below it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = name.decode()
        started = False

        async def named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name)]
            await send(message)

        try:
            await self.app(scope, receive, named)
        except Exception:
            _log.exception("request %s failed: %s %s", name.decode(), scope["method"], scope["path"])
            if not started:
                await refusal(*internal_error())(scope, receive, named)


def _request_id(scope: Scope) -> bytes:
    for key, value in scope["headers"]:
        if key == b"x-request-id" and _SOUND.fullmatch(value):
            return bytes(value)
    return b"req_" + secrets.token_hex(12).encode()
