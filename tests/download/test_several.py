"""Several transfers seen as one: their bytes added up, stopped together, and the first error told."""

from __future__ import annotations

import threading

import pytest

from edgellm.download import several
from edgellm.download.watch import Stopped, Watch
from edgellm.errors import DownloadError, Unreachable

Report = tuple[str, int, int]


def test_bytes_are_added_up_and_the_end_is_told() -> None:
    seen: list[Report] = []

    def transfer(watch: Watch) -> None:
        for done in (10, 50, 100):
            watch.arrived(done)

    several.run([transfer] * 7, "x", 700, lambda *report: seen.append(report))
    assert seen[-1] == ("x", 700, 700)
    assert all(done <= total == 700 for _, done, total in seen)


def test_a_total_that_only_the_source_knows() -> None:
    seen: list[Report] = []

    def transfer(watch: Watch) -> None:
        watch.total = 30
        watch.arrived(30)

    several.run([transfer, transfer], "x", 0, lambda *report: seen.append(report))
    assert seen[-1] == ("x", 60, 60)


def test_one_failure_stops_the_others_and_is_told() -> None:
    stopped = threading.Event()

    def fails(watch: Watch) -> None:
        raise Unreachable("gone")

    def waits(watch: Watch) -> None:
        try:
            watch.sleep(60)
        except Stopped:
            stopped.set()
            raise

    with pytest.raises(Unreachable, match="gone"):
        several.run([waits, fails], "x", 0, lambda *_: None)
    assert stopped.wait(5)


def test_only_some_run_at_once() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def transfer(watch: Watch) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        watch.sleep(0.01)
        with lock:
            running[0] -= 1

    several.run([transfer] * 20, "x", 0, lambda *_: None)
    assert 1 <= most[0] <= several.AT_ONCE


def test_what_is_waited_for_is_told_when_all_wait() -> None:
    seen: list[Report] = []
    told = threading.Event()

    def report(label: str, done: int, total: int) -> None:
        seen.append((label, done, total))
        if label == "the lock is taken":
            told.set()

    def transfer(watch: Watch) -> None:
        watch.say("the lock is taken")
        assert told.wait(20)
        watch.arrived(5)

    several.run([transfer], "x", 5, report)
    assert seen[-1] == ("x", 5, 5)


def test_an_error_of_the_report_reaches_the_caller() -> None:
    def report(*_: object) -> None:
        raise DownloadError("nobody looks")

    with pytest.raises(DownloadError, match="nobody looks"):
        several.run([lambda watch: watch.sleep(60)], "x", 0, report)
