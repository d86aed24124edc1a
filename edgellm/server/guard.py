"""What a server on somebody's own machine refuses before any routing: foreign hosts and origins, odd or slow bodies.

It refuses huge bodies, too, and while it stops (`closing`) all new work.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgellm.server.error_status import refusal, status_of

MAX_BODY = 32 * 1024 * 1024
BODY_S = 30.0
SLOWEST = 32 * 1024
"""Bytes a second: a body has `BODY_S` seconds, and more as it grows."""
_CLOSE = {"connection": "close"}
_BODIED = ("POST", "DELETE", "PUT", "PATCH")
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_OF_BROWSERS = (b"origin", b"referer", b"sec-fetch-site", b"sec-fetch-mode", b"cookie")
_JSON_HEADER = (b"content-type", _JSON.encode())
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d{1,5})?")


class Guard:
    """ASGI middleware. `hosts` are the names a Host header may have, ports aside; None allows every name.

    A page of another site that reaches this server through DNS rebinding names that site as Host; one that posts here
    directly names it as Origin. Both get 403, and there are no CORS headers to invite them. Bodies must say that they
    are JSON, which no page can do unasked; under /api/ curl's need not, for so do Ollama's users call it.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str] | None,
        max_body: int = MAX_BODY,
        closing: Callable[[], bool] = lambda: False,
        body_s: float | None = None,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.max_body = max_body
        self.closing = closing
        self.body_s = BODY_S if body_s is None else body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            headers[b"host"] = ""
        if _is_curls(scope, headers):
            headers[b"content-type"] = _JSON
            scope = {**scope, "headers": [*(h for h in scope["headers"] if h[0] != b"content-type"), _JSON_HEADER]}
        problem = self._problem(scope["method"], headers)
        if problem is not None:
            await refusal(*problem, headers=_CLOSE)(scope, receive, send)
        elif scope["method"] in _BODIED and self.closing():
            words = "The server is shutting down. Ask again when it is back."
            await refusal("unavailable", words, headers=_CLOSE | {"retry-after": "5"})(scope, receive, send)
        elif scope["method"] in _BODIED:
            await self.app(scope, self._limited(receive), send)
        else:
            await self.app(scope, receive, send)

    def _problem(self, method: str, headers: dict[bytes, str]) -> tuple[str, str] | None:
        host = headers.get(b"host", "").lower()
        origin = headers.get(b"origin")
        if not self._is_known(host):  # a second Host header counts as none
            return "foreign_host", "The Host header names another machine. Use localhost or 127.0.0.1 in the address."
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return "foreign_origin", "Pages of another origin may not use this server."
        if method == "POST" and _media_type(headers) != _JSON:
            return "unsupported_media_type", "Send the body as JSON, with the header Content-Type: application/json."
        length = headers.get(b"content-length", "")
        if length.isdigit() and int(length[:20]) > self.max_body:
            return "body_too_large", self._too_large()
        return None

    def _is_known(self, host: str) -> bool:
        if self.hosts is None:
            return True
        match = _HOST.fullmatch(host)
        return match is not None and match[1] in self.hosts

    def _too_large(self) -> str:
        return f"The body is larger than the {self.max_body} bytes that this server accepts."

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, counting: a chunked body tells its length only by arriving, a slow one its pace."""
        seen, arriving = 0, True
        begin = asyncio.get_running_loop().time()

        async def counted() -> Message:
            nonlocal seen, arriving
            if not arriving:  # what comes now is the client's leaving
                return await receive()
            try:
                async with asyncio.timeout_at(begin + self.body_s + seen / SLOWEST):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(status_of("request_timeout"), "The body came too slowly.", _CLOSE) from None
            seen += len(message.get("body", b""))
            arriving = bool(message.get("more_body"))
            if seen > self.max_body:
                raise HTTPException(status_of("body_too_large"), self._too_large(), _CLOSE)
            return message

        return counted


def _media_type(headers: dict[bytes, str]) -> str:
    return headers.get(b"content-type", "").partition(";")[0].strip().lower()


def _is_curls(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Whether this is `curl -d` to Ollama's dialect, which says "form" of whatever it sends.

    No page can pass for it. What scripts send carries an Origin, and so do forms; of browsers too old for that, a form
    of this type is written in escapes, which are no JSON.
    """
    posts = scope["method"] in ("POST", "DELETE") and scope["path"].startswith("/api/")
    return posts and _media_type(headers) in ("", _FORM) and not any(name in headers for name in _OF_BROWSERS)
