"""The pool's policy, by cases and in simulated pools: no overcommit, no busy model let go, no starvation, no thrash."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings, strategies as st

from edgellm.runtime.pool_policy import MOST_PATIENCE_S, Decision, Seat, Size, Wish, decide, total

ROOM = Size(100, 0)


def seat(key: str, memory: int, **more: object) -> Seat:
    return Seat(key=key, size=Size(memory), **more)


def wish(key: str, memory: int, id: int = 1, **more: object) -> Wish:
    return Wish(**{"id": id, "key": key, "size": Size(memory), "arrived": 0.0, **more})


def test_what_is_in_memory_is_let_in() -> None:
    assert decide([seat("a", 60)], [wish("a", 60)], ROOM, 0.0).admit == (1,)
    assert decide([seat("a", 60, state="loading")], [wish("a", 60)], ROOM, 0.0) == Decision()
    assert decide([seat("a", 60, state="leaving")], [wish("a", 60)], ROOM, 0.0) == Decision()


def test_what_fits_is_loaded_once_beside_the_others() -> None:
    wishes = [wish("b", 30, 1), wish("b", 30, 2), wish("c", 10, 3)]
    found = decide([seat("a", 60, running=1)], wishes, ROOM, 0.0)
    assert found == Decision(load=("b", "c"))


def test_what_can_never_fit_is_refused() -> None:
    assert decide([], [wish("a", 101)], ROOM, 0.0).refuse == (1,)
    assert decide([seat("p", 50, pinned=True)], [wish("a", 51)], ROOM, 0.0).refuse == (1,)
    assert decide([], [wish("a", 10, size=Size(10, 5))], ROOM, 0.0).refuse == (1,)
    assert decide([seat("b", 50, running=1)], [wish("a", 51)], ROOM, 0.0).refuse == ()


def test_the_cheapest_to_load_again_goes_first_and_no_more_than_needed() -> None:
    seats = [seat("slow", 40, load_s=9.0), seat("quick", 40, load_s=1.0), seat("tiny", 10, load_s=0.1)]
    assert decide(seats, [wish("new", 50)], ROOM, 100.0).unload == ("quick",)
    assert decide(seats, [wish("new", 20)], ROOM, 100.0).unload == ("tiny",)
    long_idle = [seat("slow", 50, load_s=9.0, idle_since=0.0), seat("quick", 50, load_s=1.0, idle_since=9_999.0)]
    assert decide(long_idle, [wish("new", 50)], ROOM, 10_000.0).unload == ("slow",)


def test_a_busy_or_pinned_model_is_never_let_go() -> None:
    assert decide([seat("a", 60, running=1)], [wish("b", 60)], ROOM, 999.0).unload == ()
    assert decide([seat("a", 60, pinned=True, expires_at=0.0)], [wish("b", 30)], ROOM, 999.0) == Decision(load=("b",))


def test_requests_of_a_model_in_memory_pass_one_that_waits_until_its_patience_ends() -> None:
    seats = [seat("a", 60, running=1)]
    wishes = [wish("b", 60, 1, load_s=4.0), wish("a", 60, 2, arrived=1.0)]
    early = decide(seats, wishes, ROOM, 3.0)
    assert (early.admit, early.draining, early.wake_at) == ((2,), frozenset(), 4.0)
    late = decide(seats, wishes, ROOM, 4.0)
    assert (late.admit, late.draining) == ((), {"a"})


def test_a_request_that_came_earlier_is_let_in_though_its_model_must_go() -> None:
    wishes = [wish("a", 60, 1), wish("b", 60, 2), wish("a", 60, 3)]
    found = decide([seat("a", 60)], wishes, ROOM, 99.0)
    assert (found.admit, found.draining) == ((1,), {"a"})


def test_a_model_may_work_as_long_as_its_load_took() -> None:
    seats = [seat("a", 60, load_s=3.0, ready_at=10.0)]
    assert decide(seats, [wish("b", 60)], ROOM, 12.0) == Decision(wake_at=13.0)
    assert decide(seats, [wish("b", 60)], ROOM, 13.0).unload == ("a",)


def test_who_waits_keeps_what_will_be_free_for_it() -> None:
    seats = [seat("a", 60, running=1)]
    wishes = [wish("big", 90, 1), wish("small", 10, 2), wish("other", 10, 3)]
    assert decide(seats, wishes, ROOM, 0.0).load == ("small",)


def test_what_leaves_already_is_waited_for() -> None:
    seats = [seat("gone", 60, state="leaving"), seat("a", 40)]
    assert decide(seats, [wish("b", 60)], ROOM, 0.0) == Decision()


def test_nobody_asked_in_time() -> None:
    seats = [seat("a", 10, expires_at=5.0), seat("b", 10, expires_at=9.0), seat("c", 10, running=1, expires_at=0.0)]
    assert decide(seats, [], ROOM, 6.0) == Decision(unload=("a",), wake_at=9.0)
    assert decide(seats, [wish("a", 10)], ROOM, 6.0) == Decision(admit=(1,), wake_at=9.0)


def test_gpu_memory_counts_by_itself() -> None:
    room = Size(100, 10)
    seats = [Seat(key="a", size=Size(10, 8)), Seat(key="b", size=Size(80, 0))]
    assert decide(seats, [wish("c", 5, size=Size(5, 8))], room, 99.0).unload == ("a",)
    assert decide(seats, [wish("c", 5, size=Size(30, 0))], room, 99.0).unload == ("b",)


def test_rpc_servers_change_hands() -> None:
    room = Size(100, 0, 1)
    seats = [Seat(key="a", size=Size(10, 0, 1)), Seat(key="b", size=Size(10))]
    assert decide(seats, [wish("c", 5, size=Size(10, 0, 1))], room, 99.0).unload == ("a",)
    assert decide(seats, [wish("c", 5, size=Size(10))], room, 99.0).load == ("c",)
    pinned = [Seat(key="a", size=Size(10, 0, 1), pinned=True)]
    assert decide(pinned, [wish("c", 5, size=Size(10, 0, 1))], room, 99.0).refuse == (1,)


# -- simulated pools ------------------------------------------------------------------------------------------------

LONGEST_RUN_S, LONGEST_LOAD_S, LEAVE_S = 5.0, 8.0, 0.5


@dataclass
class Request:
    at: float
    key: str
    runs_s: float
    waited: float = -1.0


@dataclass
class Pool:
    """Time in steps of events; every decision is checked against what it must never do."""

    models: dict[str, tuple[int, float]]
    room: int
    keep_alive_s: float = math.inf
    pinned: frozenset[str] = frozenset()
    now: float = 0.0
    seats: dict[str, Seat] = field(default_factory=dict)
    waiting: dict[int, Request] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    loads: dict[str, int] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()
    events: list[tuple[float, int, str, object]] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, requests: Sequence[Request], follow: dict[int, list[Request]] | None = None) -> None:
        for request in requests:
            self.at(request.at, "arrive", request)
        steps = 0
        while self.events:
            self.now, _, kind, what = heapq.heappop(self.events)
            getattr(self, kind)(what)
            self.step()
            steps += 1
            assert steps < 100_000, "it goes round in circles"

    def at(self, time: float, kind: str, what: object) -> None:
        heapq.heappush(self.events, (time, next(self._ids), kind, what))

    def arrive(self, request: Request) -> None:
        self.waiting[next(self._ids)] = request

    def loaded(self, key: str) -> None:
        self.put(key, state="ready", ready_at=self.now, idle_since=self.now, expires_at=self.now + self.keep_alive_s)

    def left(self, key: str) -> None:
        del self.seats[key]

    def done(self, key: str) -> None:
        running = self.seats[key].running - 1
        self.put(key, running=running, idle_since=self.now, expires_at=self.now + self.keep_alive_s)

    def look(self, _: object) -> None: ...

    def put(self, key: str, **changes: object) -> None:
        self.seats[key] = msgspec.structs.replace(self.seats[key], **changes)

    def step(self) -> None:
        wishes = [self.wish(id, request) for id, request in self.waiting.items()]
        found = decide(self.seats.values(), wishes, Size(self.room), self.now, self.draining)
        self.draining = found.draining
        for id in found.admit:
            request = self.waiting.pop(id)
            assert self.seats[request.key].state == "ready"
            request.waited = self.now - request.at
            self.put(request.key, running=self.seats[request.key].running + 1)
            self.at(self.now + request.runs_s, "done", request.key)
        for id in found.refuse:
            del self.waiting[id]
            self.refused.add(id)
        for key in found.unload:
            assert self.seats[key].state == "ready" and not self.seats[key].running, "a busy model was let go"
            assert not self.seats[key].pinned
            self.put(key, state="leaving")
            self.at(self.now + LEAVE_S, "left", key)
        for key in found.load:
            assert key not in self.seats
            memory, load_s = self.models[key]
            self.seats[key] = seat(key, memory, state="loading", load_s=load_s, pinned=key in self.pinned)
            self.loads[key] = self.loads.get(key, 0) + 1
            self.at(self.now + load_s, "loaded", key)
        assert total(each.size for each in self.seats.values()).memory <= self.room, "more than there is"
        if found.wake_at < math.inf:
            assert found.wake_at > self.now, "it would be asked again at once, for ever"
            self.at(found.wake_at, "look", None)

    def wish(self, id: int, request: Request) -> Wish:
        memory, load_s = self.models[request.key]
        return wish(request.key, memory, id, arrived=request.at, load_s=load_s)


KEYS = "abcdef"
models = st.fixed_dictionaries(
    {key: st.tuples(st.integers(1, 100), st.floats(0.125, LONGEST_LOAD_S, width=16)) for key in KEYS}
)
requests = st.lists(
    st.builds(
        Request,
        at=st.floats(0.0, 60.0, width=16),
        key=st.sampled_from(KEYS),
        runs_s=st.floats(0.0, LONGEST_RUN_S, width=16),
    ),
    max_size=60,
)
ROUND_S = 2 * MOST_PATIENCE_S + LONGEST_RUN_S + LONGEST_LOAD_S + LEAVE_S
"""The longest that one model can hold up the next: patience, protection, its last request, its end and the load."""


@settings(max_examples=300, deadline=None)
@given(models, requests, st.integers(100, 250), st.sampled_from([0.0, 3.0, math.inf]))
def test_everybody_is_served_in_bounded_time(
    models: dict[str, tuple[int, float]], requests: list[Request], room: int, keep_alive_s: float
) -> None:
    pool = Pool(models, room, keep_alive_s)
    pool.run(requests)
    assert not pool.waiting and not pool.refused
    assert all(0.0 <= request.waited <= 2 * len(KEYS) * ROUND_S for request in requests)
    assert all(each.running == 0 for each in pool.seats.values())
    if keep_alive_s < math.inf:
        assert not pool.seats


@settings(max_examples=100, deadline=None)
@given(models, requests, st.integers(60, 150), st.sampled_from(KEYS))
def test_a_pinned_model_stays_and_what_does_not_fit_beside_it_is_refused(
    models: dict[str, tuple[int, float]], requests: list[Request], room: int, pinned: str
) -> None:
    memory, load_s = models[pinned]
    if memory > room:
        return
    pool = Pool(models, room, pinned=frozenset(pinned))
    pool.seats[pinned] = seat(pinned, memory, load_s=load_s, pinned=True)
    pool.run(requests)
    served = [request for request in requests if request.key == pinned]
    assert all(request.waited == 0.0 for request in served)
    assert pool.loads.get(pinned, 0) == 0
    unfit = [r for r in requests if r.key != pinned and models[r.key][0] > room - memory]
    assert len(pool.refused) == len(unfit) and all(request.waited < 0 for request in unfit)
    assert not pool.waiting


@settings(max_examples=100, deadline=None)
@given(models, requests)
def test_nothing_is_loaded_twice_where_all_fit(models: dict[str, tuple[int, float]], requests: list[Request]) -> None:
    pool = Pool(models, room=600)
    pool.run(requests)
    assert all(count == 1 for count in pool.loads.values())


@settings(max_examples=50, deadline=None)
@given(st.floats(0.5, LONGEST_LOAD_S, width=16), st.floats(0.125, 2.0, width=16))
def test_two_busy_clients_that_do_not_fit_spend_half_of_the_time_on_answers_at_least(
    load_s: float, runs_s: float
) -> None:
    """Both ask again as soon as they are answered; neither starves, and the swaps stay bounded."""
    pool = Pool({"a": (60, load_s), "b": (60, load_s)}, room=100)
    asked: dict[str, list[Request]] = {"a": [], "b": []}

    def again(key: str) -> None:
        request = Request(pool.now, key, runs_s)
        asked[key].append(request)
        pool.at(pool.now, "arrive", request)

    plain_done = pool.done

    def done(key: object) -> None:
        plain_done(str(key))
        if pool.now < 200.0:
            again(str(key))

    pool.done = done  # type: ignore[method-assign]
    again("a")
    again("b")
    pool.run([])
    spent = {key: sum(r.runs_s for r in rs) for key, rs in asked.items()}
    assert min(len(rs) for rs in asked.values()) >= 2
    assert max(r.waited for rs in asked.values() for r in rs) <= 2 * ROUND_S
    loading = sum(pool.loads.values()) * (load_s + LEAVE_S)
    assert sum(spent.values()) >= 0.4 * (loading - 2 * load_s)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 4), st.floats(0.25, LONGEST_RUN_S, width=16), st.floats(0.5, LONGEST_LOAD_S, width=16))
def test_a_model_that_is_never_idle_lets_others_have_their_turn(clients: int, runs_s: float, load_s: float) -> None:
    """Its clients ask again as soon as they are answered, out of step, so that one of them always runs."""
    pool = Pool({"a": (60, load_s), "b": (60, load_s)}, room=100)
    plain_done = pool.done

    def done(key: object) -> None:
        plain_done(str(key))
        if key == "a" and pool.now < 300.0:
            pool.at(pool.now, "arrive", Request(pool.now, "a", runs_s))

    pool.done = done  # type: ignore[method-assign]
    other = Request(load_s + 1.0, "b", runs_s)
    pool.run([*(Request(index * runs_s / clients, "a", runs_s) for index in range(clients)), other])
    assert 0.0 <= other.waited <= ROUND_S
