"""Memory and speed as fit predicts them, against what real runs of `edgellm run` were seen to take."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgellm.catalog.metadata import ModelFacts, facts
from edgellm.config import ModelSettings
from edgellm.fit.plan import Planner
from edgellm.fit.speed import KIND, predict
from edgellm.machine.machine import Machine, detect
from edgellm.machine.measurements import DecodeSpeed, Key, Measurements
from scripts.benchmarks.figures import Spread
from scripts.benchmarks.footprint import PeakWatch
from scripts.benchmarks.table import Row, quantity

MEMORY_TARGET, SPEED_TARGET = 0.08, 0.25
_TOKENS = 48
_MIB = 2**20
_STARTS = ("river", "stone", "wind", "garden", "mar", "win", "silver", "sun", "for", "moon", "lan", "thunder")
_ENDS = ("side", "light", "ter", "ket", "bridge", "est", "fall", "tern", "land", "ward", "house", "field")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: a model with so much context, and a prompt of about so many words."""

    name: str
    path: Path
    context: int
    kv_type: str
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Bytes, and tokens a second at `at` tokens of context; None where nothing was measured."""

    peak: int | None
    predicted_peak: int
    speed: float | None
    predicted_speed: float | None
    at: int


def cases(models: dict[str, Path], contexts: tuple[int, ...], most_words: int) -> Iterator[Case]:
    """Every model at every context that it has, with both kinds of KV."""
    for name, path in models.items():
        trained = facts(path).context
        for context in contexts:
            for kv_type in ("f16", "q8_0") if context <= trained else ():
                words = min(most_words, context * 7 // 10)
                yield Case(name=name, path=path, context=context, kv_type=kv_type, words=words)


def measure(
    models: dict[str, Path], contexts: tuple[int, ...], threads: int, most_words: int
) -> tuple[list[Row], dict[str, Any]]:
    """One run of each case. The speed of the first alone corrects what is predicted for all the others."""
    rows: list[Row] = []
    raw: list[dict[str, Any]] = []
    known: tuple[tuple[Key, DecodeSpeed], ...] = ()
    machine = detect()
    for case in cases(models, contexts, most_words):
        peak, seen = _run(case, threads)
        outcome = _outcome(case, machine, threads, peak, seen, known)
        found = list(_rows(case, outcome, reference=not known))
        rows += found
        raw.append({**asdict(case), "path": case.path.name, **asdict(outcome)})
        known = known or tuple(seen)
        for row in found:
            print("  ".join(row.cells()), file=sys.stderr, flush=True)
    return rows, {"runs": raw}


def _run(case: Case, threads: int) -> tuple[int | None, list[tuple[Key, DecodeSpeed]]]:
    """The peak of all our processes in bytes, and the speed that the run itself put down."""
    chosen = random.Random(case.words)
    prompt = " ".join(chosen.choice(_STARTS) + chosen.choice(_ENDS) for _ in range(case.words))
    command = [sys.executable, "-m", "edgellm.cli", "run", "--raw", "-m", str(case.path)]
    command += ["--context", str(case.context), "--kv-type", case.kv_type, "--threads", str(threads)]
    command += ["--max-tokens", str(_TOKENS), "--temperature", "1.5", "--seed", "7", "--no-speculation", "-"]
    with tempfile.TemporaryDirectory(prefix="edgellm-fit-") as home:
        environment = {**os.environ, "EDGELLM_HOME": home, "PYTHONIOENCODING": "utf-8"}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        with PeakWatch(process.pid) as watch:
            process.communicate(prompt.encode())
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return watch.peak, Measurements(Path(home) / "cache" / "measurements").all(KIND, DecodeSpeed)


def _outcome(
    case: Case,
    machine: Machine,
    threads: int,
    peak: int | None,
    seen: list[tuple[Key, DecodeSpeed]],
    known: tuple[tuple[Key, DecodeSpeed], ...],
) -> Outcome:
    model: ModelFacts = facts(case.path)
    settings = msgspec.convert({"context": case.context, "kv_type": case.kv_type, "threads": threads}, ModelSettings)
    plan = Planner(machine, settings).plan(model)
    at = seen[0][1].context if seen else 0
    expected = predict(model, plan.placement, machine, known, context=at, threads=threads) if known else None
    return Outcome(
        peak=peak,
        predicted_peak=plan.memory.total,
        speed=1000 / seen[0][1].ms_per_token if seen else None,
        predicted_speed=expected.decode if expected is not None else None,
        at=at,
    )


def _rows(case: Case, outcome: Outcome, *, reference: bool) -> Iterator[Row]:
    what = f"{case.name}, {case.context} tokens, {case.kv_type}"
    error = outcome.predicted_peak / outcome.peak - 1 if outcome.peak else None
    yield Row(
        name=f"peak memory, predicted/measured: {what}",
        ours=quantity(outcome.predicted_peak / _MIB, "MiB", 0),
        theirs=quantity(outcome.peak / _MIB if outcome.peak else None, "MiB", 0),
        ratio=Spread(1 + error, 1 + error, 1 + error) if error is not None else None,
        target=f"within {MEMORY_TARGET:.0%}",
        met=abs(error) <= MEMORY_TARGET if error is not None else None,
    )
    wrong = outcome.predicted_speed / outcome.speed - 1 if outcome.predicted_speed and outcome.speed else None
    yield Row(
        name=f"decoding at {outcome.at}, predicted/measured: {what}",
        ours="the reference" if reference else quantity(outcome.predicted_speed, "tok/s"),
        theirs=quantity(outcome.speed, "tok/s"),
        ratio=Spread(1 + wrong, 1 + wrong, 1 + wrong) if wrong is not None else None,
        target="-" if reference else f"within {SPEED_TARGET:.0%}",
        met=abs(wrong) <= SPEED_TARGET if wrong is not None else None,
    )
