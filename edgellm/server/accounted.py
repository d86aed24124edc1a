"""`Accounted`: keeps the record of every request, logs a line of it, and gives it the deadline that it asked for."""

from __future__ import annotations

import math
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgellm.server.error_status import SERVER_ERROR, refusal
from edgellm.server.record import HUNG_UP, Record, current
from edgellm.server.traffic import Traffic
from edgellm.telemetry import log

HEADER = b"x-request-timeout"
ELSEWHERE = "other"
_LONGEST_S = 86_400.0
_log = log.get("server")


class Accounted:
    """ASGI middleware. `deadline_s` is the longest that a request may take, 0 for no limit; it may ask for less."""

    def __init__(self, app: ASGIApp, traffic: Traffic, deadline_s: float = 0.0) -> None:
        self.app = app
        self.traffic = traffic
        self.deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = self._seconds(dict(scope["headers"]).get(HEADER))
        deadline = time.monotonic() + asked if asked else None
        state = scope.setdefault("state", {})
        record = Record(state.get("request_id", ""), scope["method"], scope["path"][:200], deadline)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        self.traffic.begin(record)
        token = current.set(record)
        try:
            if asked is None:
                words = "x-request-timeout counts seconds, such as 2.5, and at most a day."
                await refusal("invalid_request", words, headers={"connection": "close"})(scope, receive, noted)
            else:
                await self.app(scope, receive, noted)
        except Exception:
            record.status = record.status or SERVER_ERROR
            raise
        finally:
            current.reset(token)
            self._ended(record, scope)

    def _seconds(self, given: bytes | None) -> float | None:
        """The seconds that a request may take, 0 for any number; None where its header makes no sense."""
        if given is None:
            return self.deadline_s
        try:
            asked = float(given)
        except ValueError:
            return None
        if not math.isfinite(asked) or not 0.0 < asked <= _LONGEST_S:
            return None
        return min(asked, self.deadline_s or asked)

    def _ended(self, record: Record, scope: Scope) -> None:
        record.end = time.monotonic()
        record.status = record.status or HUNG_UP
        record.route = route_of(scope)
        record.key = scope["state"].get("key", "")
        self.traffic.end(record)
        if _log.enabled("info"):
            _log.info("request", **_line(record))


def route_of(scope: Scope) -> str:
    """The route's own path, whatever stood for its parameters; all addresses that are none count as one."""
    return getattr(scope.get("route"), "path", "") or ELSEWHERE


def _line(record: Record) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "id": record.id,
        "method": record.method,
        "route": record.route,
        "status": record.status,
        "ms": round(1000.0 * record.seconds, 1),
    }
    if record.key:
        figures["key"] = record.key
    if record.error:
        figures["error"] = record.error
    if record.model:
        figures |= {
            "model": record.model,
            "prompt_tokens": record.prompt_tokens,
            "cached_tokens": record.cached_tokens,
            "completion_tokens": record.completion_tokens,
        }
        if record.first is not None:
            figures["first_token_ms"] = round(1000.0 * (record.first - record.begin), 1)
    return figures
