"""The read test: measured once, kept, and counted by a clock that the tests own."""

import itertools
import threading
from pathlib import Path

import msgspec
import pytest

from edgellm.machine import bandwidth
from edgellm.machine.measurements import Measurements
from tests.machine.test_machine import PLAIN

MIB = 2**20


def test_bytes_by_the_clock() -> None:
    """A clock that goes a millisecond at each look: one piece is read between two looks."""
    ticks = itertools.count()
    found = bandwidth.read_test(1, 16 * MIB, 0.1, lambda: next(ticks) / 1000)
    assert found == pytest.approx(4 * MIB * 1000, rel=0.05)


def test_threads_add_up() -> None:
    clocks = threading.local()

    def clock() -> float:
        clocks.now = getattr(clocks, "now", 0) + 1
        return float(clocks.now) / 1000

    assert bandwidth.read_test(3, 16 * MIB, 0.1, clock) == pytest.approx(3 * 4 * MIB * 1000, rel=0.05)


def test_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bandwidth, "read_test", lambda threads, size: asked.append((threads, size)) or 5e10)
    kept = Measurements(tmp_path)
    assert bandwidth.known(PLAIN, kept) is None
    assert bandwidth.measured(PLAIN, kept) == bandwidth.measured(PLAIN, kept) == 5e10
    assert asked == [(8, 8 * bandwidth.THREAD_BYTES)]


def test_a_busy_day_does_not_spoil_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([5e10, 1e10, 6e10])
    monkeypatch.setattr(bandwidth, "read_test", lambda threads, size: next(speeds))
    kept = Measurements(tmp_path)
    assert [bandwidth.measure(PLAIN, kept) for _ in range(3)] == [5e10, 5e10, 6e10]


def test_fewer_threads_are_another_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "read_test", lambda threads, size: threads * 1e9)
    kept = Measurements(tmp_path)
    fewer = msgspec.structs.replace(PLAIN, usable_cores=2)
    assert (bandwidth.measured(PLAIN, kept), bandwidth.measured(fewer, kept)) == (8e9, 2e9)


def test_little_memory_is_measured_with_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(bandwidth, "read_test", lambda threads, size: sizes.append(size) or 1e9)
    bandwidth.measured(msgspec.structs.replace(PLAIN, limit_left=256 * MIB), Measurements(tmp_path))
    assert sizes == [32 * MIB]
