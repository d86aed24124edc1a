"""Gives an engine its proposer: what is known of step times, the calibration that finds them out, a draft model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

from edgellm.backends.base import Backend
from edgellm.config import ModelSettings
from edgellm.engine.engine import Engine
from edgellm.engine.scheduler import Budget
from edgellm.engine.speculative.acceptance import Record
from edgellm.engine.speculative.adaptive import AdaptiveProposer
from edgellm.engine.speculative.calibration import Calibration
from edgellm.engine.speculative.contained import ContainedProposer
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.draft_model import DraftModel

_DRAFT_ROWS = (1, 32, 4, 2, 8, 16)
_DRAFT_LIMIT_S = 1.0


class Remembered(Protocol):
    """Where step times, and how often guesses came true, outlive the process."""

    def read(self) -> dict[int, float]: ...

    def write(self, milliseconds: Mapping[int, float]) -> None: ...

    def learned(self, proposer: str) -> Record | None:
        """How often the guesses of `proposer` came true; None if that is not known."""
        ...

    def learn(self, proposer: str, record: Record) -> None: ...


class Forgetful:
    """Nothing outlives the process."""

    def read(self) -> dict[int, float]:
        return {}

    def write(self, milliseconds: Mapping[int, float]) -> None: ...

    def learned(self, proposer: str) -> Record | None:
        return None

    def learn(self, proposer: str, record: Record) -> None: ...


def engine(
    backend: Backend,
    settings: ModelSettings,
    budget: Budget,
    known: Mapping[int, float],
    remembered: Remembered,
    load_draft: Callable[[], DraftModel | None],
) -> Engine:
    """An engine that speculates, unless the settings or the backend rule it out.

    `known` are step times of an earlier process; they serve until a calibration is done. `load_draft` is called only
    where a draft model may be used.
    """
    clock = time.perf_counter
    speculates = settings.speculation != "off" and backend.capabilities.trim
    drafter = load_draft() if speculates and settings.speculation != "ngram" else None
    proposer = None
    if speculates:
        times = StepTimes(together=backend.capabilities.together)
        proposer = AdaptiveProposer(times, clock, drafter, cache(backend.vocabulary.piece))
    made = Engine(
        backend,
        clock=clock,
        budget=budget,
        prefix_cache=settings.prefix_cache,
        prefix_memory=settings.prefix_memory << 20,
        proposer=ContainedProposer(proposer) if proposer is not None else None,
    )
    if proposer is not None:
        proposer.remember(remembered.learned, remembered.learn)
        _calibrate(proposer, made, known, remembered)
    return made


def _calibrate(proposer: AdaptiveProposer, made: Engine, known: Mapping[int, float], remembered: Remembered) -> None:
    clock, times = time.perf_counter, proposer.times

    def found(milliseconds: Mapping[int, float]) -> None:
        times.adopt(milliseconds)
        remembered.write(times.known())

    times.adopt(known)
    budget = made.scheduler.budget
    proposer.calibrate(Calibration(made.backend, made.cache, clock, most=min(budget.rows, budget.batch)), found)
    if (drafter := proposer.drafter) is not None:
        most = min(drafter.backend.limits.rows, drafter.backend.limits.batch)
        calibration = Calibration(
            drafter.backend, drafter.cache, clock, most=most, rows=_DRAFT_ROWS, limit_s=_DRAFT_LIMIT_S
        )
        timed = drafter.timed

        def draft_found(milliseconds: Mapping[int, float]) -> None:
            proposer.adopt_draft(milliseconds)
            timed(milliseconds)

        proposer.calibrate(calibration, draft_found)
