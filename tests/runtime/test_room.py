"""What models may take together: what is free, what they hold themselves, and never more than the limit."""

from __future__ import annotations

import pytest

from edgellm.machine import memory
from edgellm.machine.memory import Memory
from edgellm.runtime import room as rooms
from edgellm.runtime.pool_policy import Size
from edgellm.runtime.room import Held, Room


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory", lambda: Memory(total=1000, available=500, limit=900, left=400))


def test_the_least_that_anything_leaves_counts() -> None:
    assert Room().measure([]) == Size(400, 0, 1)


def test_the_limit_bounds_it() -> None:
    assert Room(100).measure([]) == Size(100, 0, 1)
    assert Room(1000).measure([]) == Size(400, 0, 1)


@pytest.mark.parametrize(("counted", "expected"), [(True, 400 + 300 - 120), (False, 400 + 300)])
def test_mapped_files_count_once(counted: bool, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_MAPPED_COUNTS_AS_FREE", counted)
    held = [Held(100, 0, 0, 50), Held(200, 0, 0, 70)]
    assert Room().measure(held) == Size(expected, 0, 1)


def test_a_model_is_planned_as_if_those_that_may_go_had_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.doubles.residents import MACHINE

    monkeypatch.setattr(rooms, "detect", lambda: MACHINE)
    monkeypatch.setattr(rooms, "_MAPPED_COUNTS_AS_FREE", True)
    found = Room().machine([Held(30, 0, 0, 10), Held(20, 0, 0, 0)], stays=Size(20, 0))
    assert found.usable_memory == 100 + 50 - 10 - 20
    assert Room(90).machine([Held(30, 0, 0, 10)], stays=Size(50, 0)).usable_memory == 40
    assert Room(40).machine([Held(30, 0, 0, 10)], stays=Size(50, 0)).usable_memory == 0
