"""Which models the pool loads, lets in and lets go: pure, decided anew from a picture of the pool whenever it changes.

Requests are served in the order of their arrival, but for two things. A request for a model that is in memory need not
wait for one that is not; and a model that was loaded may work for as long as its load took before it must make room,
so that no more than half of the time goes into loading. Both are bounded by `MOST_PATIENCE_S`, so nobody starves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

MOST_PATIENCE_S = 10.0
"""How long a request may wait for others to be let in before it, beyond those that run already."""
_FRESH_S = 10.0
"""Idle time below which a model is about as likely to be asked for as one that was asked just now."""


class Size(msgspec.Struct, frozen=True):
    """Bytes of main memory and of the GPU's own; may be below 0, where more is taken than there is.

    `servers` is 1 for a model that RPC servers hold layers of, and in a room: they serve one model at a time.
    """

    memory: int = 0
    gpu: int = 0
    servers: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.memory + other.memory, self.gpu + other.gpu, self.servers + other.servers)

    def __sub__(self, other: Size) -> Size:
        return Size(self.memory - other.memory, self.gpu - other.gpu, self.servers - other.servers)

    def fits(self, room: Size) -> bool:
        """What needs nothing of one kind fits although none of that is left."""
        pairs = ((self.memory, room.memory), (self.gpu, room.gpu), (self.servers, room.servers))
        return all(needed <= max(0, left) for needed, left in pairs)


def total(sizes: Iterable[Size]) -> Size:
    return sum(sizes, Size())


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A model that takes memory. `leaving` ones give it back soon; times are seconds of any one clock."""

    key: str
    size: Size
    state: Literal["loading", "ready", "leaving"] = "ready"
    running: int = 0
    pinned: bool = False
    load_s: float = 0.0
    ready_at: float = -math.inf
    idle_since: float = 0.0
    expires_at: float = math.inf

    @property
    def protected_until(self) -> float:
        return self.ready_at + min(self.load_s, MOST_PATIENCE_S)

    def worth(self, now: float) -> float:
        """What it would cost to lose it: its load, the less likely to be needed the longer nobody asked."""
        idle_s = 0.0 if self.running else max(0.0, now - self.idle_since)
        return self.load_s * _FRESH_S / (_FRESH_S + idle_s)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for the model `key`, which takes `size` once it is loaded, in about `load_s`."""

    id: int
    key: str
    size: Size
    arrived: float
    load_s: float = 0.0

    @property
    def patient_until(self) -> float:
        return self.arrived + min(self.load_s, MOST_PATIENCE_S)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now: requests by id, models by key. `refuse` can never be had. Look again at `wake_at`, if not before.

    `draining` models let nobody in any more; to be handed to the next decision.
    """

    admit: tuple[int, ...] = ()
    refuse: tuple[int, ...] = ()
    load: tuple[str, ...] = ()
    unload: tuple[str, ...] = ()
    draining: frozenset[str] = frozenset()
    wake_at: float = math.inf


def decide(
    seats: Iterable[Seat], wishes: Sequence[Wish], room: Size, now: float, draining: frozenset[str] = frozenset()
) -> Decision:
    """`wishes` by arrival; `room` is what all models may take together; `draining` of the decision before."""
    picture = _Picture({seat.key: seat for seat in seats}, room, now, draining)
    for wish in wishes:
        picture.serve(wish)
    picture.expire({wish.key for wish in wishes})
    return picture.decision()


class _Picture:
    """The pool as it will be once what is decided so far is done."""

    def __init__(self, seats: dict[str, Seat], room: Size, now: float, before: frozenset[str]) -> None:
        self._seats = seats
        self._now = now
        self._before = before
        self._attainable = room - total(seat.size for seat in seats.values() if seat.pinned)
        self._free = room - total(seat.size for seat in seats.values())
        self._spare: Size | None = None  # what is free and not meant for a request that waits; None: all
        self._seen: set[str] = set()
        self._admit: list[int] = []
        self._refuse: list[int] = []
        self._load: list[str] = []
        self._unload: list[str] = []
        self._draining: set[str] = set()
        self._wake_at = math.inf

    def decision(self) -> Decision:
        return Decision(
            admit=tuple(self._admit),
            refuse=tuple(self._refuse),
            load=tuple(self._load),
            unload=tuple(self._unload),
            draining=frozenset(self._draining),
            wake_at=self._wake_at,
        )

    def serve(self, wish: Wish) -> None:
        seat = self._seats.get(wish.key)
        if seat is None and not wish.size.fits(self._attainable):
            self._refuse.append(wish.id)
        elif seat is None:
            if wish.key not in self._seen:
                self._seen.add(wish.key)
                self._place(wish)
        elif seat.state == "ready" and wish.key not in self._draining:
            self._admit.append(wish.id)
            self._put(seat, running=seat.running + 1)

    def expire(self, wanted: set[str]) -> None:
        """Let go of what nobody asked for in its time."""
        for seat in list(self._seats.values()):
            if self._is_idle(seat) and not seat.pinned and seat.key not in wanted:
                if seat.expires_at <= self._now:
                    self._let_go(seat)
                else:
                    self._wake(seat.expires_at)

    def _place(self, wish: Wish) -> None:
        """Load it where there is room, else see to it that there will be: for the first that waits, not for all."""
        if self._spare is not None:
            if wish.size.fits(self._spare) and wish.size.fits(self._free):
                self._begin(wish)
                self._spare -= wish.size
        elif wish.size.fits(self._free):
            self._begin(wish)
        else:
            self._make_room(wish)

    def _begin(self, wish: Wish) -> None:
        self._load.append(wish.key)
        self._free -= wish.size
        self._seats[wish.key] = Seat(key=wish.key, size=wish.size, state="loading")

    def _make_room(self, wish: Wish) -> None:
        coming = self._free + total(seat.size for seat in self._seats.values() if seat.state == "leaving")
        victims = self._victims(wish.size, coming)
        self._spare = coming + total(seat.size for seat in victims) - wish.size
        if victims:
            self._ask_to_go(victims, wish)

    def _victims(self, size: Size, coming: Size) -> list[Seat]:
        """The cheapest to lose that make room with what is `coming`; none where it takes no more, or more than all."""
        able = [seat for seat in self._seats.values() if seat.state == "ready" and not seat.pinned]
        able.sort(key=lambda seat: (seat.running > 0, seat.key not in self._before, seat.worth(self._now), seat.key))
        if not size.fits(coming + total(seat.size for seat in able)):
            return []  # something that loads must be ready first
        count = next(n for n in range(len(able) + 1) if size.fits(coming + total(seat.size for seat in able[:n])))
        chosen = able[:count]
        for seat in reversed(chosen.copy()):  # the dearest may alone be large enough, or too large to be of use
            others = [each for each in chosen if each is not seat]
            if size.fits(coming + total(each.size for each in others)):
                chosen = others
        return chosen

    def _ask_to_go(self, victims: Sequence[Seat], wish: Wish) -> None:
        ready_at = max(seat.protected_until for seat in victims)
        if any(seat.running for seat in victims):
            ready_at = max(ready_at, wish.patient_until)
        if self._now < ready_at:
            self._wake(ready_at)
        elif any(seat.running for seat in victims):
            self._draining |= {seat.key for seat in victims}
        else:
            for seat in victims:
                self._let_go(seat)

    def _let_go(self, seat: Seat) -> None:
        assert self._is_idle(seat) and not seat.pinned
        self._unload.append(seat.key)
        self._put(seat, state="leaving")

    def _is_idle(self, seat: Seat) -> bool:
        return seat.state == "ready" and not seat.running

    def _put(self, seat: Seat, **changes: object) -> None:
        self._seats[seat.key] = msgspec.structs.replace(seat, **changes)

    def _wake(self, at: float) -> None:
        self._wake_at = min(self._wake_at, at)
