"""An engine on the fake backend whose decodes take, by a clock of its own, what a curve of milliseconds says."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, Script
from edgellm.engine.engine import Engine
from edgellm.engine.scheduler import Budget
from edgellm.engine.sequence import Job, Update
from edgellm.engine.speculative.adaptive import AdaptiveProposer
from edgellm.engine.speculative.calibration import Calibration
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.draft_model import DraftModel

Curve = Callable[[int], float]

_MEASURED = {
    1: 45, 2: 77, 3: 104, 4: 129, 5: 156, 6: 185, 7: 212, 8: 298, 9: 318, 12: 298, 16: 300, 17: 347, 24: 441, 32: 519,
    48: 705, 64: 888,
}  # fmt: skip


def jagged(rows: int) -> float:
    """A two-core machine: rows cost nearly a step each, but for those up to a kernel's next boundary."""
    points = sorted(_MEASURED)
    if rows in _MEASURED:
        return _MEASURED[rows]
    above = points[min(bisect_left(points, rows), len(points) - 1)]
    below = points[max(0, bisect_left(points, rows) - 1)]
    share = (rows - below) / (above - below) if above > below else rows / below
    return _MEASURED[below] + share * (_MEASURED[above] - _MEASURED[below])


CURVES: dict[str, Curve] = {
    "flat": lambda rows: 20.0,
    "linear": lambda rows: 20.0 * rows,
    "jagged": jagged,
    "step": lambda rows: 20.0 if rows <= 8 else 90.0,
}


@dataclass
class VirtualClock:
    """Seconds; goes on by a microsecond at each look, and by what is added."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@dataclass
class TimedEngine:
    """Call `calibrate` first, or nothing is drafted; `run` gives every job's whole update."""

    curve: Curve
    script: Script | None = None
    limits: Limits = field(default=Limits(cells=8192, slots=16, batch=512, rows=64))
    draft: tuple[Script, float] | None = None
    """What the draft model writes, and the milliseconds of each of its tokens."""
    budget: dict[str, int] = field(default_factory=dict)
    plain: bool = False
    each: float = 0.0
    """Milliseconds more for each row of a step of several sequences, as their contexts cost."""

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        arguments: dict[str, Any] = {"script": self.script} if self.script else {}
        self.backend = FakeBackend(limits=self.limits, before_decode=self._spend, **arguments)
        self.times = StepTimes()
        drafter = self._drafter() if self.draft else None
        self.proposer = AdaptiveProposer(self.times, self.clock, drafter)
        self.engine = Engine(
            self.backend,
            clock=self.clock,
            budget=Budget(**{"batch": 512, "rows": 64, "parallel": 16, **self.budget}),
            proposer=None if self.plain else self.proposer,
        )

    def _spend(self, batch: Batch) -> None:
        rows = sum(len(chunk.tokens) for chunk in batch)
        self.clock.now += self.curve(rows) / 1000 if rows <= 64 else 0.001 * rows
        if len(batch) > 1:
            self.clock.now += self.each * rows / 1000

    def _drafter(self) -> DraftModel:
        assert self.draft is not None
        script, milliseconds = self.draft

        def spend(batch: Batch) -> None:
            tokens = max(len(chunk.tokens) for chunk in batch)
            self.clock.now += milliseconds / 1000 * (1 + tokens / 32)

        backend = FakeBackend(script, limits=self.limits, before_decode=spend)
        return DraftModel(backend, 260, clock=self.clock)

    def calibrate(self) -> None:
        self.proposer.calibrate(Calibration(self.backend, self.engine.cache, self.clock, most=64), self.times.adopt)
        if (drafter := self.proposer.drafter) is not None:
            calibration = Calibration(drafter.backend, drafter.cache, self.clock, most=64, rows=(1, 32))
            self.proposer.calibrate(calibration, self.proposer.adopt_draft)
        while self.engine.tidy():
            pass

    def run(self, jobs: Iterable[Job]) -> dict[int, Update]:
        for job in jobs:
            self.engine.submit(job)
        whole: dict[int, Update] = {}
        while self.engine.busy:
            for update in self.engine.step():
                total = whole.setdefault(update.id, Update(update.id))
                total.tokens += update.tokens
                total.scores += update.scores
                total.timings = update.timings or total.timings
                total.finished = update.finished or total.finished
                total.error = update.error or total.error
            assert self.engine.cache.used == self.backend.cells_used
        return whole
