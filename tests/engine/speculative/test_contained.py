"""A proposer that fails anywhere costs no request, and is not asked again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from edgellm.backends.fake import FakeBackend, hashed
from edgellm.engine.sequence import Job
from edgellm.engine.speculative.contained import ContainedProposer
from edgellm.model import SpeculationStatus
from edgellm.request import GREEDY
from edgellm.telemetry import log
from tests.doubles.timed_engine import CURVES, TimedEngine

METHODS = ("admit", "propose", "meanwhile", "commit", "release", "stepped", "tidy", "status", "close")


@pytest.fixture(autouse=True)
def said() -> Iterator[io.StringIO]:
    """What was logged."""
    stream = io.StringIO()
    log.configure(stream=stream)
    yield stream
    log.configure()


def contained(method: str, after: int) -> tuple[TimedEngine, ContainedProposer]:
    """An engine whose proposer fails at its `after`-th call of `method`, and ever after."""
    timed = TimedEngine(CURVES["flat"], draft=(hashed, 1.0))
    timed.calibrate()
    calls, real = iter(range(10**6)), getattr(timed.proposer, method)

    def failing(*args: Any) -> Any:
        if next(calls) >= after:
            raise ZeroDivisionError("nothing to divide by")
        return real(*args)

    setattr(timed.proposer, method, failing)
    proposer = timed.engine.proposer = ContainedProposer(timed.proposer)
    return timed, proposer


def jobs() -> list[Job]:
    shared = [65 + i % 26 for i in range(60)]
    return [Job(id=i, prompt=[*shared, 100 + i], params=GREEDY, seed=i, max_tokens=60 + 20 * i) for i in range(3)]


def plain() -> dict[int, list[int]]:
    return {id: update.tokens for id, update in TimedEngine(CURVES["flat"], plain=True).run(jobs()).items()}


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("tidy", "status", "close")])
def test_the_text_goes_on_as_by_plain_decoding(method: str, after: int, said: io.StringIO) -> None:
    timed, proposer = contained(method, after)
    assert {id: update.tokens for id, update in timed.run(jobs()).items()} == plain()
    status = proposer.status()
    assert status.state == "off" and "ZeroDivisionError at test_contained.py:" in status.reason
    assert not proposer.tidy()
    drafted = timed.engine.counters.drafted
    timed.run(jobs())
    assert timed.engine.counters.drafted == drafted, "it was asked again"
    assert said.getvalue().count("guessing ahead failed") == 1 and "Traceback" not in said.getvalue()


def test_what_it_came_to_is_still_told() -> None:
    timed, proposer = contained("release", 0)
    timed.run(jobs()[:1])
    assert proposer.status().drafted == timed.engine.counters.drafted > 0


def test_a_failing_drafter_gives_its_memory_back() -> None:
    timed, _ = contained("propose", 3)
    assert timed.proposer.drafter is not None
    timed.run(jobs())
    backend = timed.proposer.drafter.backend
    assert isinstance(backend, FakeBackend) and backend.closed


def test_a_failure_while_idle_or_at_the_end_is_no_crash() -> None:
    timed, proposer = contained("tidy", 0)
    assert not timed.engine.tidy()
    assert proposer.status().state == "off"
    timed, proposer = contained("close", 0)
    timed.engine.close()
    assert timed.backend.closed


def test_a_proposer_that_cannot_even_tell_its_status_is_given_up() -> None:
    _, proposer = contained("status", 0)
    proposer._give_up(_raised())
    assert proposer.status() == SpeculationStatus(reason=proposer.status().reason)


def _raised() -> Exception:
    try:
        raise ValueError("once")
    except ValueError as error:
        return error
