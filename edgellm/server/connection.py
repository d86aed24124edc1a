"""`Connection`: one client's connection, which may not dawdle over a request's head nor send one without end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from edgellm.server.error_status import error_body

HEAD_S = 15.0
MAX_HEAD = 64 * 1024
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)


class Connection(asyncio.Protocol):
    """Wraps uvicorn's protocol, which waits for ever for the end of a head of any size; `limited` sets the figures.

    Of more than `most` connections at once, those above are told to come back and closed.
    """

    most = 1024
    head_s = HEAD_S

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], **more: Any) -> None:
        self._inner: Any = AutoHTTPProtocol(config=config, server_state=server_state, app_state=app_state, **more)  # type: ignore[call-arg]
        self._state = server_state
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if len(self._state.connections) >= self.most:
            body = error_body("unavailable", "Too many connections are open. Close some, or come back later.")
            self._transport.write(_FULL % (len(body), body))
            self._transport.close()
            self._inner = None
            return
        self._inner.connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            return
        self._head = self._head + len(data) if self._awaits_head() else 0
        self._inner.data_received(data)
        self._watch()
        if self._head > MAX_HEAD and self._awaits_head():
            self._transport.close()

    def eof_received(self) -> None:
        if self._inner is not None:
            self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def _watch(self) -> None:
        """Start the clock with the first byte of a head (or the connection), and stop it with the last."""
        if not self._awaits_head():
            self._stop()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.head_s, self._too_slow)

    def _awaits_head(self) -> bool:
        if self._transport.is_closing():
            return False
        cycle = self._inner.cycle
        return cycle is None or bool(cycle.response_complete)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._awaits_head():
            self._transport.close()


def limited(most: int, head_s: float = HEAD_S) -> type[Connection]:
    """Connections of a server that has at most so many at once."""
    return type("LimitedConnection", (Connection,), {"most": most, "head_s": head_s})
