"""Calibration: the curve of the backend, found in idle moments, within its time, with nothing left behind."""

from __future__ import annotations

import pytest

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.fake import FakeBackend
from edgellm.engine.prefix_cache import PrefixCache
from edgellm.engine.speculative.calibration import LIMIT_S, Calibration
from tests.doubles.timed_engine import CURVES, TimedEngine, VirtualClock, jagged


@pytest.mark.parametrize("name", CURVES)
def test_it_finds_the_curve(name: str) -> None:
    timed = TimedEngine(CURVES[name])
    timed.calibrate()
    found = timed.times.known()
    assert {1, 16} <= found.keys()
    assert found == {rows: pytest.approx(CURVES[name](rows), abs=0.01) for rows in found}
    assert timed.clock.now <= LIMIT_S + 0.2
    assert timed.engine.cache.resident == timed.backend.cells_used == 0


def test_a_slow_machine_measures_what_it_can_in_the_time() -> None:
    timed = TimedEngine(lambda rows: 10 * jagged(rows))
    timed.calibrate()
    assert timed.times.ready
    assert timed.clock.now <= LIMIT_S + 0.2
    assert 64 not in timed.times.points


def test_it_stops_between_any_two_decodes_and_goes_on_later() -> None:
    timed = TimedEngine(jagged)
    timed.proposer.calibrate(Calibration(timed.backend, timed.engine.cache, timed.clock, most=64), timed.times.adopt)
    assert timed.engine.tidy()
    assert not timed.times.ready and timed.engine.cache.resident == 0
    while timed.engine.tidy():
        assert timed.engine.cache.resident == 0
    assert timed.times.ready


def test_a_backend_that_cannot_go_back_is_not_measured() -> None:
    backend = FakeBackend(capabilities=Capabilities(trim=False))
    cache = PrefixCache(backend, cells=100, slots=4, partial=False)
    calibration = Calibration(backend, cache, VirtualClock(), most=64)
    assert not calibration.step()
    assert calibration.milliseconds == {} and backend.computed == 0


def test_cells_in_use_are_left_alone() -> None:
    backend = FakeBackend(limits=Limits(cells=10, slots=4, batch=64, rows=64))
    calibration = Calibration(backend, PrefixCache(backend, cells=10, slots=4), VirtualClock(), most=64)
    while calibration.step():
        pass
    assert max(calibration.milliseconds) == 8


def test_a_measurement_that_was_disturbed_is_made_again_in_a_later_quiet_moment() -> None:
    busy = [True]
    timed = TimedEngine(lambda rows: 3500 if busy[0] else jagged(rows))
    timed.calibrate()
    assert not timed.times.ready and not timed.engine.tidy()
    busy[0] = False
    assert not timed.engine.tidy(), "nobody knows yet whether the machine is quieter"
    timed.clock.now += 60
    while timed.engine.tidy():
        pass
    assert timed.times.known() == {rows: pytest.approx(jagged(rows), abs=0.01) for rows in timed.times.points}
    assert timed.times.ready


def test_a_machine_that_is_always_as_slow_is_believed_in_the_end() -> None:
    timed = TimedEngine(lambda rows: 1200.0 * rows)
    timed.calibrate()
    for _ in range(9):
        timed.clock.now += 60
        while timed.engine.tidy():
            pass
    assert timed.times.points == [1] and not timed.times.ready
    spent = timed.clock.now
    assert not timed.engine.tidy() and timed.clock.now - spent < 0.001
