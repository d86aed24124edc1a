"""A trial in a process of its own: whatever becomes of it is an outcome, and nothing is left running."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from edgellm.backends import ik
from edgellm.config import ModelSettings
from edgellm.runtime import native_trial, trial_process
from edgellm.runtime.native_trial import Trial
from edgellm.runtime.trial_process import run_trial
from tests import models, tiny_model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path)


@pytest.mark.parametrize(
    ("program", "problem", "sure"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "SIGABRT", True),
        ("raise SystemExit(1)", "exit code 1", False),
        ("print('nothing')", "no result", False),
    ],
)
def test_a_trial_that_ends_badly_is_an_outcome(
    file: Path, monkeypatch: pytest.MonkeyPatch, program: str, problem: str, sure: bool
) -> None:
    _instead(monkeypatch, file.parent, program)
    trial = run_trial(file, ModelSettings())
    assert (problem in trial.problem, trial.sure) == (True, sure)


def test_the_steps_of_a_trial_are_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = msgspec.json.encode(Trial(problem="none")).decode()
    lines = "; ".join(["print('step', flush=True); time.sleep(0.5)"] * 2)
    _instead(monkeypatch, file.parent, f"import time; {lines}; print({outcome!r})")
    told: list[int] = []
    assert run_trial(file, ModelSettings(), told.append).problem == "none"
    assert told == sorted(told)
    assert {1, 2} <= set(told)


def test_who_gives_up_waiting_ends_the_trial(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _instead(monkeypatch, file.parent, "import time; time.sleep(600)")

    def give_up(step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(file, ModelSettings(), give_up)
    assert psutil.Process().children() == []


def test_a_trial_that_hangs_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _instead(monkeypatch, file.parent, "import time; time.sleep(600)")
    monkeypatch.setattr(trial_process, "_LEAST_SECONDS", 0.3)
    trial = run_trial(file, ModelSettings())
    assert "more than" in trial.problem
    assert not trial.sure
    assert psutil.Process().children() == []


def _instead(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Have `program` run in place of the trial."""
    fake = folder / "python.py"
    fake.write_text(f"#!{sys.executable}\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))


@pytest.mark.model
@pytest.mark.skipif(not ik.installed(), reason="needs the extra `ik`")
def test_a_real_trial_refuses_a_model_that_the_fork_computes_wrongly() -> None:
    """Its kernel for Q4_1 gives other logits from 32 tokens on (0.1.5): that is what a trial is for."""
    trial = run_trial(models.path("smollm2"), ModelSettings(threads=1))
    assert trial.problem == "its text is not llama.cpp's for this model"
    assert trial.divergence > 10 * native_trial.MOST_DIVERGED


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not ik.installed(), reason="needs the extra `ik`")
def test_a_real_trial_trusts_a_model_that_it_computes_rightly() -> None:
    told: list[int] = []
    trial = run_trial(models.path("qwen-0.5b"), ModelSettings(threads=2), told.append)
    assert told[-1] >= native_trial.STEPS - 1
    assert not trial.problem
    assert trial.stock is not None
    assert trial.fork is not None
