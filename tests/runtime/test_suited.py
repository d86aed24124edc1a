"""Of several models that a name may mean: what fits, what is here, and what is fast enough to be fetched."""

from pathlib import Path

import pytest

from edgellm.catalog import catalog as catalogs
from edgellm.catalog.catalog import Target
from edgellm.config import Settings
from edgellm.fit.plan import Planner
from edgellm.machine.machine import Machine
from edgellm.runtime.suited import suited
from tests import tiny_model
from tests.fit import examples

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))


@pytest.fixture
def targets() -> list[Target]:
    """Coders of 14, 7, 1.5 and half a billion parameters."""
    shipped = catalogs.shipped()
    return [shipped.target(reference) for reference in shipped.candidates("code")]


def on(machine: Machine, targets: list[Target], here: dict[int, Path] | None = None) -> int:
    """The index of what suits `machine`, where `here` says what lies on it."""
    held = {id(targets[index]): path for index, path in (here or {}).items()}
    chosen = suited(targets, lambda target: held.get(id(target)), SETTINGS, lambda settings: Planner(machine, settings))
    return targets.index(chosen)


def test_a_fast_machine_gets_a_large_one(targets: list[Target]) -> None:
    assert on(examples.machine(64, bandwidth=400e9, physical_cores=32, performance_cores=32), targets) == 0
    assert on(examples.machine(64, bandwidth=60e9), targets) in (1, 2)
    assert on(examples.machine(0.3), targets) == len(targets) - 1


def test_what_is_here_comes_first_if_it_fits(targets: list[Target], tmp_path: Path) -> None:
    fast = examples.machine(64, bandwidth=400e9, physical_cores=32, performance_cores=32)
    model = tiny_model.build(tmp_path)
    assert on(fast, targets, {3: model}) == 3
    assert on(fast, targets, {2: model, 3: model}) == 2
    assert on(examples.machine(0.01), targets, {2: model, 3: model}) == 3


def test_what_cannot_be_judged_is_taken(targets: list[Target], tmp_path: Path) -> None:
    assert on(examples.machine(), targets, {1: tmp_path / "unreadable.gguf"}) == 1


def test_one_model_is_not_judged(targets: list[Target]) -> None:
    assert on(examples.machine(0.001), targets[:1]) == 0
