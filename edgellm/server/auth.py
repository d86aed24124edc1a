"""`Auth`: who may ask. Keys are asked for as soon as there is one, and always beyond this machine's own addresses."""

from __future__ import annotations

import ipaddress
import logging
import secrets

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from edgellm.errors import ConfigError
from edgellm.server.error_status import refusal
from edgellm.server.key_store import KeyStore

OPEN = frozenset({"/", "/health", "/ready"})
"""Paths that say only whether the server works."""
_CHALLENGE = {"www-authenticate": "Bearer", "connection": "close"}
_log = logging.getLogger("edgellm.server")


class Access(msgspec.Struct, frozen=True):
    """Who is let in: holders of `keys` (None: everybody), of a key only even where there is none yet if `always`, and
    whoever on this machine knows `token`, which the server hands to this user's own programs."""

    keys: KeyStore | None = None
    always: bool = False
    token: str = ""

    def asks(self) -> bool:
        """Whether a key is needed now. Raises ConfigError when the keys cannot be read."""
        return self.keys is not None and (self.always or bool(self.keys.all()))


EVERYBODY = Access()


class Auth:
    """ASGI middleware: 401 without a key where one is needed; `state["key"]` is the name of the one that was shown."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        try:
            state["key"], state["known"] = self._told(scope)
        except ConfigError as error:  # nobody is let in on the strength of keys that cannot be read
            _log.error("%s", error)
            await refusal("internal_error", "The keys of this server cannot be read. Its log says why.")(
                scope, receive, send
            )
            return
        if state["known"] or scope["path"] in OPEN:
            await self.app(scope, receive, send)
        else:
            await refusal("invalid_api_key", self._advice(scope), headers=_CHALLENGE)(scope, receive, send)

    def _told(self, scope: Scope) -> tuple[str, bool]:
        """The name of the key that was shown, and whether the request may pass."""
        if not self.access.asks():
            return "", True
        assert self.access.keys is not None
        shown = shown_secret(scope)
        if not shown:
            return "", False
        if self._is_token(shown) and is_loopback(scope["client"][0] if scope.get("client") else ""):
            return "local", True
        name = self.access.keys.holder(shown)
        return name or "", name is not None

    def _is_token(self, shown: str) -> bool:
        return bool(self.access.token) and secrets.compare_digest(shown.encode(), self.access.token.encode())

    def _advice(self, scope: Scope) -> str:
        wrong = "This key is not known here." if shown_secret(scope) else "This server asks for a key."
        return f"{wrong} Send one as `Authorization: Bearer KEY` or `x-api-key: KEY`; `edgellm keys create` makes one."


def shown_secret(scope: Scope) -> str:
    """What the request shows as its key; "" where it shows none. OpenAI's header wins over Anthropic's."""
    headers = dict(scope["headers"])
    kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer" and secret.strip():
        return str(secret.strip())
    return str(headers.get(b"x-api-key", b"").decode("latin-1").strip())


def is_loopback(host: str) -> bool:
    """Whether the address, or the name localhost, means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
