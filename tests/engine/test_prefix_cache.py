"""The prefix cache against a backend that counts its cells, driven at random and case by case."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Chunk
from edgellm.backends.fake import FakeBackend
from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.host_tier import HostTier
from edgellm.engine.prefix_cache import PrefixCache

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


class Bench:
    """A cache over a fake backend; `run` does what the engine would do."""

    def __init__(self, cells: int = 64, slots: int = 6, tier: int = 0, **options: bool) -> None:
        limits = Limits(cells=cells, slots=slots, batch=1024, rows=8)
        self.backend = FakeBackend(
            limits=limits,
            capabilities=Capabilities(copy=options.get("shares", True), trim=options.get("partial", True), save=True),
        )
        self.tier = HostTier(self.backend, tier)
        self.cache = PrefixCache(self.backend, cells=cells, slots=slots, tier=self.tier, **options)

    def open(self, tokens: list[int]) -> tuple[int, int]:
        match = self.cache.match(tokens, len(tokens) - 1)
        slot = self.cache.open(match)
        assert slot is not None
        return slot, match.length

    def compute(self, slot: int, tokens: list[int]) -> None:
        assert self.cache.reserve(len(tokens))
        start = len(self.backend.slots[slot])
        self.backend.decode([Chunk(slot, start, tokens, 0)])
        self.cache.extend(slot, tokens)

    def run(self, tokens: list[int]) -> tuple[int, int]:
        """Open a slot for `tokens` and compute the rest; the slot, and how much was found."""
        slot, found = self.open(tokens)
        self.compute(slot, tokens[found:])
        return slot, found

    def check(self) -> None:
        assert self.cache.used == self.backend.cells_used
        for slot, held in enumerate(self.backend.slots):
            if slot in self.cache._tails:
                assert self.cache.tokens(slot) == held
                assert self.cache.length(slot) == len(held)
            else:
                assert held == []


def test_a_finished_prompt_serves_the_next_that_begins_alike() -> None:
    bench = Bench()
    slot, found = bench.run([1, 2, 3, 4])
    assert found == 0
    bench.cache.close(slot)
    _, found = bench.run([1, 2, 3, 9, 9])
    assert found == 3
    assert bench.cache.used == 6
    bench.check()


def test_a_running_prompt_is_shared_too() -> None:
    bench = Bench()
    bench.run([1, 2, 3, 4])
    _, found = bench.run([1, 2, 3, 4, 5])
    assert found == 4
    assert bench.cache.used == 5
    bench.check()


def test_the_last_prompt_token_is_left_to_compute() -> None:
    bench = Bench()
    slot, _ = bench.run([1, 2, 3])
    bench.cache.close(slot)
    assert bench.cache.match([1, 2, 3], 2).length == 2


def test_a_slot_that_another_continues_is_given_back() -> None:
    bench = Bench()
    slot, _ = bench.run([1, 2, 3])
    bench.cache.close(slot)
    bench.run([1, 2, 3, 4])
    assert bench.cache.resident == 1
    bench.check()


def test_the_least_recently_used_goes_first() -> None:
    bench = Bench(cells=40)
    for start in (10, 20, 30):
        slot, _ = bench.run([start, 1, 2])
        bench.cache.close(slot)
    slot, found = bench.run([10, 1, 2, 9])
    assert found == 3
    bench.cache.close(slot)
    assert bench.cache.reserve(40 - 7)
    assert bench.cache.match([20, 1, 2]).length == 0
    assert bench.cache.match([30, 1, 2]).length == 3
    bench.check()


def test_what_is_kept_stays_within_its_share_but_for_the_newest() -> None:
    bench = Bench(cells=40)
    for start in (10, 20, 30, 40):
        slot, _ = bench.run([start, *range(4)])
        bench.cache.close(slot)
    assert bench.cache.used == 10
    assert [bench.cache.match([start, *range(4)]).length for start in (10, 20, 30, 40)] == [0, 0, 5, 5]
    slot, _ = bench.run([50] * 20)
    bench.cache.close(slot)
    assert (bench.cache.used, bench.cache.match([50] * 20).length) == (20, 20)
    bench.check()


def test_what_is_dear_to_recompute_outlives_what_is_cheap() -> None:
    bench = Bench(cells=400)
    long, _ = bench.run([1] * 40)
    bench.cache.close(long)
    short, _ = bench.run([2] * 4)
    bench.cache.close(short)
    assert bench.cache.reserve(400 - 42)
    assert bench.cache.match([2] * 4).length == 0
    assert bench.cache.match([1] * 40).length == 40


def test_running_slots_are_never_evicted() -> None:
    bench = Bench(cells=8)
    slot, _ = bench.run([1, 2, 3, 4, 5])
    assert not bench.cache.reserve(4)
    assert bench.cache.length(slot) == 5
    assert bench.cache.available == 3


def test_no_slot_is_left_when_all_run() -> None:
    bench = Bench(slots=2)
    bench.run([1])
    bench.run([2])
    assert bench.cache.open(bench.cache.match([3])) is None


def test_the_match_survives_the_search_for_a_slot() -> None:
    bench = Bench(slots=2)
    for tokens in ([1, 2, 3], [4, 5, 6]):
        slot, _ = bench.run(tokens)
        bench.cache.close(slot)
    _, found = bench.run([1, 2, 3, 7])
    assert found == 3
    bench.check()


@pytest.mark.parametrize("partial", [True, False])
def test_where_all_others_run_the_slot_that_matches_is_run_on(partial: bool) -> None:
    bench = Bench(slots=2, partial=partial)
    bench.run([9])
    slot, _ = bench.run([1, 2, 3])
    bench.cache.close(slot)
    assert bench.run([1, 2, 3, 7]) == (slot, 3)
    assert bench.cache.running == 2 and bench.cache.used == 5
    bench.check()


def test_whole_slots_only_where_the_backend_cannot_trim() -> None:
    bench = Bench(partial=False)
    slot, _ = bench.run([1, 2, 3])
    bench.cache.close(slot)
    assert bench.cache.match([1, 2, 9, 9]).length == 0
    _, found = bench.run([1, 2, 3, 4])
    assert found == 3
    bench.check()


def test_a_slot_is_taken_over_where_the_backend_cannot_copy() -> None:
    bench = Bench(shares=False)
    slot, _ = bench.run([1, 2, 3])
    assert bench.cache.match([1, 2, 3, 4]).length == 0, "it runs"
    bench.cache.close(slot)
    again, found = bench.run([1, 2, 9])
    assert (again, found) == (slot, 2)
    bench.check()


def test_switched_off_nothing_is_found_or_kept() -> None:
    bench = Bench(enabled=False)
    slot, _ = bench.run([1, 2, 3])
    assert bench.cache.match([1, 2, 3]).length == 0
    bench.cache.close(slot)
    assert bench.cache.used == 0
    bench.check()


def test_available_beside_a_match_counts_its_cells_as_taken() -> None:
    bench = Bench(cells=10)
    slot, _ = bench.run([1, 2, 3, 4])
    bench.cache.close(slot)
    match = bench.cache.match([1, 2, 9], 2)
    assert bench.cache.available == 10
    assert bench.cache.available_beside(match) == 8


def test_trim_gives_cells_back_and_leaves_others_alone() -> None:
    bench = Bench()
    first, _ = bench.run([1, 2, 3, 4])
    second, _ = bench.run([1, 2, 3, 4, 5, 6])
    bench.cache.trim(second, 2)
    bench.check()
    assert bench.cache.tokens(first) == [1, 2, 3, 4]
    bench.compute(second, [8, 8])
    bench.check()
    assert bench.cache.used == 6


def test_what_a_running_sequence_does_not_need_leaves_the_kv_and_comes_back() -> None:
    bench = Bench(cells=2000, tier=10**6)
    old = list(range(200)) * 3
    slot, _ = bench.run(old)
    bench.cache.close(slot)
    assert bench.cache.used == 600, "nobody runs: nobody is slowed"
    other, _ = bench.run([9, *range(20)])
    assert (bench.cache.used, len(bench.tier)) == (21, 1)
    again, found = bench.run([*old, 7])
    assert (found, again) == (600, slot)
    assert bench.cache.used == 622
    bench.check()
    bench.cache.close(other)
    bench.cache.close(again)


def test_a_part_of_a_saved_prompt_is_restored_into_cells_of_its_own() -> None:
    bench = Bench(cells=2000, tier=10**6)
    slot, _ = bench.run([*range(200)] * 2)
    bench.cache.close(slot)
    bench.run([5] * 20)
    first, found = bench.run([*range(200), *range(100), 9])
    assert found == 300
    assert bench.cache.tokens(first) == [*range(200), *range(100), 9]
    bench.check()
    _, found = bench.run([*range(200), *range(200), 8])
    assert found == 400, "the entry gives more than the slot that runs"
    bench.check()


def test_few_cells_may_stay_beside_a_running_sequence() -> None:
    bench = Bench(cells=2000, tier=10**6)
    slot, _ = bench.run(list(range(200)))
    bench.cache.close(slot)
    bench.run([5] * 20)
    assert (bench.cache.used, len(bench.tier)) == (220, 0)


def test_a_quiet_moment_saves_ahead() -> None:
    bench = Bench(cells=2000, tier=10**6)
    for start in (0, 130):
        slot, _ = bench.run(list(range(start, start + 120)))
        bench.cache.close(slot)
    assert (bench.cache.tidy(), bench.cache.tidy(), bench.cache.tidy()) == (True, True, False)
    assert len(bench.tier) == 2
    assert bench.cache.used == 240


def test_a_state_that_cannot_be_restored_is_computed_again() -> None:
    bench = Bench(cells=2000, tier=10**6)
    slot, _ = bench.run([*range(200)] * 2)
    bench.cache.close(slot)
    bench.run([5] * 20)
    for entry in bench.tier._entries:
        object.__setattr__(entry, "state", b"odd")
    match = bench.cache.match([*range(200), *range(200), 9])
    slot_again = bench.cache.open(match)
    assert match.length == 400
    assert slot_again is not None and bench.cache.length(slot_again) == 0
    assert len(bench.tier) == 0
    bench.check()


def test_a_saved_prompt_waits_for_room() -> None:
    bench = Bench(cells=500, tier=10**6)
    slot, _ = bench.run([*range(200)] * 2)
    bench.cache.close(slot)
    bench.run([5] * 300)
    assert bench.cache.match([*range(200)] * 2).length == 0, "400 cells cannot be had beside 300"
    bench.check()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), TOKENS),
        st.tuples(st.just("grow"), TOKENS),
        st.tuples(st.just("trim"), st.integers(0, 12)),
        st.tuples(st.just("close"), st.booleans()),
        st.tuples(st.just("reserve"), st.integers(0, 40)),
    ),
    max_size=40,
)


@given(ACTIONS, st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_cache_and_backend_agree_whatever_happens(
    actions: list[tuple[str, object]], shares: bool, partial: bool
) -> None:
    bench = Bench(cells=48, slots=5, shares=shares, partial=partial)
    running: list[int] = []
    for action, value in actions:
        if action == "run":
            _start(bench, running, value, shares, partial)  # type: ignore[arg-type]
        elif action == "reserve":
            bench.cache.reserve(value)  # type: ignore[arg-type]
        elif running and action == "grow" and bench.cache.reserve(len(value)):  # type: ignore[arg-type]
            bench.compute(running[-1], value)  # type: ignore[arg-type]
        elif running and action == "trim" and partial:
            bench.cache.trim(running[-1], min(value, bench.cache.length(running[-1])))  # type: ignore[call-overload]
        elif running and action == "close":
            bench.cache.close(running.pop(0), keep=bool(value))
        bench.check()
        assert bench.cache.running == len(running)
        assert bench.cache.free <= bench.cache.available <= bench.cache.cells
    for slot in running:
        bench.cache.close(slot)
    bench.cache.clear()
    assert (bench.cache.used, bench.cache.resident) == (0, 0)
    bench.check()


LONG_TOKENS = st.builds(lambda head, tail: [head] * 40 + tail, st.integers(0, 2), TOKENS)
LONG_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), LONG_TOKENS),
        st.tuples(st.just("grow"), TOKENS),
        st.tuples(st.just("trim"), st.integers(0, 60)),
        st.tuples(st.just("close"), st.booleans()),
        st.tuples(st.just("reserve"), st.integers(0, 600)),
        st.tuples(st.just("tidy"), st.none()),
    ),
    max_size=40,
)


@given(LONG_ACTIONS, st.booleans(), st.sampled_from([500, 2000, 10**6]))
@settings(max_examples=200, deadline=None)
def test_cache_tier_and_backend_agree_whatever_happens(
    actions: list[tuple[str, Any]], shares: bool, budget: int
) -> None:
    bench = Bench(cells=700, slots=5, tier=budget, shares=shares)
    running: list[int] = []
    for action, value in actions:
        if action == "run":
            match = bench.cache.match(value, len(value) - 1)
            if (slot := bench.cache.open(match)) is not None:
                assert bench.cache.tokens(slot) == value[: match.length]
                running.append(slot)
                rest = value[match.length :]
                if bench.cache.reserve(len(rest)):
                    bench.compute(slot, rest)
        elif action == "reserve":
            bench.cache.reserve(value)
        elif action == "tidy":
            bench.cache.tidy()
        elif running and action == "grow" and bench.cache.reserve(len(value)):
            bench.compute(running[-1], value)
        elif running and action == "trim":
            bench.cache.trim(running[-1], min(value, bench.cache.length(running[-1])))
        elif running and action == "close":
            bench.cache.close(running.pop(0), keep=value)
        bench.check()
        assert bench.tier.used == sum(len(entry.state) for entry in bench.tier._entries) <= budget
        assert bench.cache.free <= bench.cache.available <= bench.cache.cells
    for slot in running:
        bench.cache.close(slot)
    bench.cache.clear()
    assert (bench.cache.used, bench.cache.resident, len(bench.tier)) == (0, 0, 0)


def _start(bench: Bench, running: list[int], tokens: list[int], shares: bool, partial: bool) -> None:
    if shares and partial:
        longest = max((common_prefix(held, 0, tokens, 0, len(tokens) - 1) for held in bench.backend.slots), default=0)
        assert bench.cache.match(tokens, len(tokens) - 1).length == longest
    match = bench.cache.match(tokens, len(tokens) - 1)
    beside = bench.cache.available_beside(match)
    slot = bench.cache.open(match)
    if slot is None:
        assert len(running) == 5
        return
    running.append(slot)
    assert bench.cache.available == beside
    rest = tokens[match.length :]
    if bench.cache.reserve(len(rest)):
        bench.compute(slot, rest)
