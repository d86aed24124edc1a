"""Of several models that a name may mean: what fits, is here, is fast enough to be fetched, saves power; and why."""

from pathlib import Path
from typing import Any

import pytest

from edgellm.catalog import catalog as catalogs
from edgellm.catalog.catalog import Target
from edgellm.catalog.metadata import ModelFacts
from edgellm.config import Settings
from edgellm.errors import DownloadError
from edgellm.fit.plan import Planner
from edgellm.machine.machine import Machine, Power
from edgellm.runtime import candidates
from edgellm.runtime.suited import suited
from tests import tiny_model
from tests.fit import examples

SETTINGS = Settings()
FAST: dict[str, Any] = {"bandwidth": 400e9, "physical_cores": 32, "performance_cores": 32}
BATTERY = Power(on_battery=True, percent=50)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))


@pytest.fixture
def targets() -> list[Target]:
    """Coders of 14, 7, 1.5 and half a billion parameters."""
    shipped = catalogs.shipped()
    return [shipped.target(reference) for reference in shipped.candidates("code")]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelFacts]:
    """What the hub tells of models, by name; it cannot be reached for others."""
    told: dict[str, ModelFacts] = {}

    def to_fetch(target: Any) -> ModelFacts:
        if target.name not in told:
            raise DownloadError("no hub")
        return told[target.name]

    monkeypatch.setattr(candidates, "to_fetch", to_fetch)
    return told


def chosen(
    machine: Machine,
    targets: list[Target],
    here: dict[int, Path] | None = None,
    settings: Settings = SETTINGS,
    *,
    ask: bool = True,
) -> tuple[int, str]:
    """The index of what suits `machine`, where `here` says what lies on it, and why."""
    held = {id(targets[index]): path for index, path in (here or {}).items()}
    planner = Planner(machine, settings.model_settings())
    found = suited(targets, lambda target: held.get(id(target)), settings, lambda _: planner, ask=ask)
    return targets.index(found.target), found.reason


def on(machine: Machine, targets: list[Target], here: dict[int, Path] | None = None) -> int:
    return chosen(machine, targets, here)[0]


def test_a_fast_machine_gets_a_large_one(targets: list[Target]) -> None:
    assert on(examples.machine(64, **FAST), targets) == 0
    assert on(examples.machine(64, bandwidth=60e9), targets) in (1, 2)
    assert on(examples.machine(0.3), targets) == len(targets) - 1


def test_what_is_here_comes_first_if_it_fits(targets: list[Target], tmp_path: Path) -> None:
    fast = examples.machine(64, **FAST)
    model = tiny_model.build(tmp_path)
    assert on(fast, targets, {3: model}) == 3
    assert on(fast, targets, {2: model, 3: model}) == 2
    assert on(examples.machine(0.01), targets, {2: model, 3: model}) == 3


def test_what_cannot_be_judged_is_taken(targets: list[Target], tmp_path: Path) -> None:
    assert on(examples.machine(), targets, {1: tmp_path / "unreadable.gguf"}) == 1


def test_one_model_is_not_judged(targets: list[Target]) -> None:
    assert on(examples.machine(0.001), targets[:1]) == 0


def test_the_hub_knows_better_than_a_guess(targets: list[Target], hub: dict[str, ModelFacts]) -> None:
    machine = examples.machine(24, **FAST)
    assert on(machine, targets) == 0
    hub["qwen2.5-coder-14b"] = examples.model(14.7e9, bits=14)
    assert on(machine, targets) == 1
    assert chosen(machine, targets, ask=False)[0] == 0, "nobody is asked"


def test_what_is_far_too_large_is_not_asked_for(targets: list[Target], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(candidates, "to_fetch", lambda target: asked.append(target.name))
    assert on(examples.machine(4, **FAST), targets) == 2
    assert asked == ["qwen2.5-coder-7b", "qwen2.5-coder-1.5b"], "a guess may be wrong by as much as the 7B is"


def test_offline_only_what_is_here_counts(targets: list[Target], tmp_path: Path) -> None:
    offline, fast = Settings(offline=True), examples.machine(64, **FAST)
    index, reason = chosen(fast, targets, settings=offline)
    assert index == 3 and "offline none can be fetched" in reason
    assert chosen(fast, targets, {2: tiny_model.build(tmp_path)}, offline)[0] == 2


def test_a_battery_is_saved_by_a_size_smaller(targets: list[Target], tmp_path: Path) -> None:
    fast = examples.machine(64, power=BATTERY, **FAST)
    full, model = Settings(on_battery="full"), tiny_model.build(tmp_path)
    assert (on(fast, targets), chosen(fast, targets, settings=full)[0]) == (1, 0)
    here = {1: model, 3: model}
    index, reason = chosen(fast, targets, here)
    assert index == 3 and "save the battery (on_battery = full takes qwen2.5-coder-7b)" in reason
    assert chosen(fast, targets, here, full)[0] == 1
    assert on(fast, targets, {1: model}) == 1, "nothing is fetched to save power"


def test_what_fits_comfortably_comes_before_what_just_fits(
    targets: list[Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"large": examples.model(14e9, 5), "small": examples.model(1.5e9, 5)}
    monkeypatch.setattr("edgellm.runtime.suited.facts_of", lambda path: sizes[path.name])
    here = {0: tmp_path / "large", 2: tmp_path / "small"}
    large = Planner(examples.machine(64), SETTINGS.model_settings()).plan(sizes["large"]).memory
    assert on(examples.machine(large.total * 1.2e-9), targets, here) == 0
    assert on(examples.machine(large.total * 1.05e-9), targets, here) == 2
    assert on(examples.machine(large.total * 1.05e-9), targets, {0: tmp_path / "large"}) == 0


def test_the_reason_tells_figures_and_what_else_would_suit(targets: list[Target], tmp_path: Path) -> None:
    _, reason = chosen(examples.machine(64, **FAST), targets, {3: tiny_model.build(tmp_path)})
    assert reason.startswith("the largest on this machine that fits comfortably (")
    assert "of the 64.0 GB that are free); qwen2.5-coder-14b would suit too, once `edgellm pull" in reason
    assert "none" in chosen(examples.machine(0.01), targets, {3: tiny_model.build(tmp_path)})[1]
    assert "no larger one fits" in chosen(examples.machine(0.3), targets)[1]
    assert chosen(examples.machine(), targets[:1]) == (0, "")
