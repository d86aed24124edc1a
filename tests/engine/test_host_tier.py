"""Prompts in host memory: what is kept, what is found, and what goes when the bytes run out."""

from __future__ import annotations

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Chunk
from edgellm.backends.fake import FakeBackend
from edgellm.engine.host_tier import SHORTEST, HostTier
from edgellm.errors import BackendError

STATE = 4
"""Bytes a token takes in a state of the fake backend."""


def held(*prompts: list[int], budget: int = 10**6) -> HostTier:
    """A tier that has saved each of `prompts`."""
    backend = FakeBackend(limits=Limits(cells=4096, slots=len(prompts) + 1, batch=4096, rows=1))
    tier = HostTier(backend, budget)
    for slot, tokens in enumerate(prompts):
        backend.decode([Chunk(slot, 0, tokens, 0)])
        tier.put(slot, tokens)
    return tier


def found(tier: HostTier, tokens: list[int], beyond: int = 0) -> int:
    best = tier.best(tokens, len(tokens), beyond)
    return 0 if best is None else best[1]


def run(token: int, length: int = 40) -> list[int]:
    return [token] * length


def test_the_longest_common_beginning_is_found() -> None:
    tier = held([*run(1), *run(2)], [*run(1), *run(3)], run(4))
    assert found(tier, [*run(1), *run(3, 30)]) == 70
    assert found(tier, [*run(1), *run(9)]) == 40
    assert found(tier, run(9)) == 0


def test_no_more_is_found_than_the_limit_allows() -> None:
    tier = held(run(1))
    best = tier.best(run(1), 39, 0)
    assert best is not None and best[1] == 39


def test_what_gains_little_over_the_kv_is_left() -> None:
    tier = held(run(1))
    assert found(tier, run(1), beyond=40 - SHORTEST) == 40
    assert found(tier, run(1), beyond=41 - SHORTEST) == 0


def test_a_long_entry_must_gain_more_than_a_short_one() -> None:
    tier = held(run(1, 3200))
    assert found(tier, [*run(1, 49), 7], beyond=0) == 0
    assert found(tier, [*run(1, 50), 7], beyond=0) == 50


def test_short_prompts_are_not_worth_it() -> None:
    assert len(held(run(1, SHORTEST - 1))) == 0
    assert len(held(run(1, SHORTEST))) == 1


def test_one_that_goes_on_replaces_its_beginning() -> None:
    tier = held(run(1), run(1, 60))
    assert (len(tier), tier.used) == (1, 60 * STATE)
    tier = held(run(1, 60), run(1))
    assert (len(tier), tier.used) == (1, 60 * STATE)


def test_the_least_recently_used_goes_first() -> None:
    backend = FakeBackend(limits=Limits(cells=4096, slots=4, batch=4096, rows=1))
    tier = HostTier(backend, 2 * 40 * STATE)
    for slot, token in enumerate((1, 2)):
        backend.decode([Chunk(slot, 0, run(token), 0)])
        tier.put(slot, run(token))
    best = tier.best(run(1), 40, 0)
    assert best is not None and tier.restore(best[0], 3)
    backend.decode([Chunk(2, 0, run(3), 0)])
    tier.put(2, run(3))
    assert [found(tier, run(token)) for token in (1, 2, 3)] == [40, 0, 40]
    assert tier.used == 2 * 40 * STATE


def test_what_is_larger_than_all_room_is_not_kept() -> None:
    tier = held(run(1), run(2, 400), budget=100 * STATE)
    assert [found(tier, run(token)) for token in (1, 2)] == [40, 0]


def test_without_room_nothing_is_saved() -> None:
    assert len(held(run(1), budget=0)) == 0


class Unsavable(FakeBackend):
    """Fails as a native library may, or as memory does."""

    error: Exception = BackendError("no")

    def save(self, slot: int) -> bytes:
        raise self.error


def test_a_failed_save_costs_nothing() -> None:
    backend = Unsavable(capabilities=Capabilities(save=True))
    tier = HostTier(backend, 10**6)
    backend.decode([Chunk(0, 0, run(1), 0)])
    for error in (BackendError("no"), MemoryError()):
        backend.error = error
        assert not tier.put(0, run(1))
    assert (len(tier), tier.used) == (0, 0)


def test_a_refused_state_is_dropped() -> None:
    backend = FakeBackend()
    tier = HostTier(backend, 10**6)
    backend.decode([Chunk(0, 0, run(1), 0)])
    tier.put(0, run(1))
    (entry,) = tier._entries
    object.__setattr__(entry, "state", b"odd")
    assert not tier.restore(entry, 1)
    assert len(tier) == 0
