"""One model's place in the pool: what is known of it while it takes memory, and who waits for it to end."""

from __future__ import annotations

import asyncio
import math

import psutil

from edgellm.runtime.pool_policy import Seat, Size
from edgellm.runtime.resident import Opened, Resident
from edgellm.runtime.room import Held

LINGER_S = 0.1
"""How long a model stays that is not to be kept: what a client does may be several requests to it."""


class Place:
    """A `Seat` as it changes; times are the event loop's."""

    def __init__(self, key: str, opened: Opened, size: Size, load_s: float, now: float, *, pinned: bool) -> None:
        self.key = key
        self.opened = opened
        self.size = size
        self.load_s = load_s
        self.began = now
        self.ready_at = math.inf
        self.idle_since = now
        self.expires_at = math.inf
        self.keep_alive_s = math.inf
        self.running = 0
        self.pinned = pinned
        self.leaving = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def resident(self) -> Resident:
        return self.opened.resident

    @property
    def is_ready(self) -> bool:
        return self.ready_at < math.inf and not self.leaving

    @property
    def held(self) -> Held:
        return Held(self.size.memory, self.size.gpu, self.size.servers, self.opened.mapped_bytes)

    @property
    def seconds_left(self) -> float:
        """Until it goes, if nobody asks for it any more and those who use it now are done."""
        now = asyncio.get_running_loop().time()
        return self.keep_alive_s if self.running else max(0.0, self.expires_at - now)

    def seat(self) -> Seat:
        loading = self.ready_at == math.inf
        return Seat(
            key=self.key,
            size=self.size,
            state="leaving" if self.leaving else "loading" if loading else "ready",
            running=self.running,
            pinned=self.pinned,
            load_s=self.load_s,
            ready_at=-math.inf if loading else self.ready_at,
            idle_since=self.idle_since,
            expires_at=self.expires_at,
        )

    def loaded(self, now: float) -> None:
        """The plan was a forecast: what its process really takes, and how long it took, are known now."""
        self.ready_at = now
        self.load_s = now - self.began
        self._rest(now)
        taken = _resident_bytes(self.resident.pid) - self.opened.droppable_bytes
        self.size = Size(max(self.size.memory, taken), self.size.gpu, self.size.servers)

    def enter(self) -> None:
        self.running += 1

    def leave(self, now: float, keep_alive_s: float | None) -> None:
        """One request is done; what it said of the time to keep the model holds from now on."""
        assert self.running > 0
        self.running -= 1
        self.keep(now, keep_alive_s)

    def keep(self, now: float, keep_alive_s: float | None) -> None:
        """A pinned model stays, unless it is told to go at once."""
        if keep_alive_s is not None:
            self.keep_alive_s = keep_alive_s
            self.pinned = self.pinned and keep_alive_s > 0
        self._rest(now)

    def _rest(self, now: float) -> None:
        self.idle_since = now
        self.expires_at = now + max(LINGER_S, self.keep_alive_s)


def _resident_bytes(pid: int | None) -> int:
    """Of the process; 0 where it cannot be told."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid is not None else 0
    except psutil.Error:
        return 0
