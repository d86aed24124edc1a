"""`Watch`: looks at a running server now and then, and gives what its live table shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from edgellm.errors import EdgeLLMError
from edgellm.model import ModelStatus
from edgellm.runtime.standing import Standing

if TYPE_CHECKING:
    from edgellm.server.record import Record
    from edgellm.server.serve import Serving

STATUS_S = 1.0
PROBES = frozenset({"/", "/health", "/ready", "/metrics"})
"""Those who only ask whether the server is well would push everything else out of the table."""


class ModelRow(msgspec.Struct, frozen=True):
    """A model that is in memory, or on its way; `kv` is the part of its KV cache in use, None where it has none."""

    name: str
    state: str
    memory_bytes: int
    running: int
    waiting: int
    kv: float | None
    tokens_per_second: float


class RequestRow(msgspec.Struct, frozen=True):
    """One request; `status` is 0 while nothing has come of it yet."""

    route: str
    model: str
    status: int
    ended: bool
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    tokens_per_second: float


class Figures(msgspec.Struct, frozen=True):
    """All that is shown; `requests` with the newest first, those in progress before those that ended."""

    url: str
    asks: bool
    open_to_all: bool
    stopping_in_s: float | None
    models: tuple[ModelRow, ...]
    requests: tuple[RequestRow, ...]
    answered: int
    refused: int
    active: int
    tokens: int
    up_s: float


class Watch:
    """`clock` gives seconds and never goes back."""

    def __init__(self, serving: Serving, clock: Callable[[], float] = time.monotonic) -> None:
        self._serving = serving
        self._clock = clock
        self._begin = clock()
        self._before: dict[str, tuple[float, int]] = {}

    async def look(self) -> Figures:
        serving, traffic = self._serving, self._serving.traffic
        rows = [await self._row(standing, model) for standing, model in await serving.models.loaded()]
        active = sorted(traffic.active.values(), key=lambda record: (record.first is None, -record.begin))
        ended = [record for record in reversed(traffic.lately) if record.route not in PROBES]
        counts = [(status, count) for (route, status), count in traffic.requests.items() if route not in PROBES]
        asks = _asks(serving)
        return Figures(
            url=serving.url,
            asks=asks,
            open_to_all=not asks and not _is_loopback(serving.host),
            stopping_in_s=serving.server.grace_left_s if serving.server.closing else None,
            models=tuple(rows),
            requests=tuple(_request(record) for record in [*active, *ended]),
            answered=sum(count for status, count in counts if status < 400),
            refused=sum(count for status, count in counts if status >= 400),
            active=len(active),
            tokens=sum(answers.completion_tokens for answers in traffic.answers.values())
            + sum(record.completion_tokens for record in active),
            up_s=self._clock() - self._begin,
        )

    async def _row(self, standing: Standing, model: object) -> ModelRow:
        status = ModelStatus()
        if model is not None and standing.state == "loaded":
            with suppress(TimeoutError, EdgeLLMError):
                async with asyncio.timeout(STATUS_S):
                    status = await model.status()  # type: ignore[attr-defined]
        return ModelRow(
            name=standing.info.name,
            state=standing.state,
            memory_bytes=standing.memory_bytes + standing.gpu_bytes,
            running=status.running,
            waiting=status.waiting + standing.waiting,
            kv=status.cells_used / status.cells_total if status.cells_total else None,
            tokens_per_second=self._speed(standing.info.name, status.tokens_generated),
        )

    def _speed(self, name: str, generated: int) -> float:
        """Since the last look."""
        now = self._clock()
        then, before = self._before.get(name, (now, generated))
        self._before[name] = (now, generated)
        return max(0, generated - before) / (now - then) if now > then else 0.0


def _request(record: Record) -> RequestRow:
    return RequestRow(
        route=record.path if record.end is None or record.route == "other" else record.route,
        model=record.model,
        status=record.status,
        ended=record.end is not None,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        seconds=record.seconds,
        tokens_per_second=record.tokens_per_second,
    )


def _asks(serving: Serving) -> bool:
    with suppress(EdgeLLMError):
        return serving.access.asks()
    return True


def _is_loopback(host: str) -> bool:
    from edgellm.server.auth import is_loopback

    return is_loopback(host)
