"""`edgellm doctor`, whole: what it prints, that programs can read it, and what its exit code says."""

import json
from pathlib import Path

import pytest

from edgellm.cli import doctor
from edgellm.cli.diagnosis import LocalModel
from edgellm.machine import machine
from edgellm.machine.machine import Power
from edgellm.runtime import installed
from tests import tiny_model
from tests.cli.test_diagnosis import BROKEN, USED
from tests.cli.test_models import tiny  # noqa: F401
from tests.fit import examples
from tests.machine.test_machine import changed


@pytest.fixture(autouse=True)
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No models of other programs are seen, whatever this machine has."""
    monkeypatch.setattr(Path, "home", lambda: home)
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "backends", lambda machine, kept: (USED,))


def test_people_see_four_sections(command, healthy) -> None:
    outcome = command("doctor")
    assert outcome.code == 0
    heads = [line.split(" (")[0] for line in outcome.out.splitlines() if line and not line.startswith(" ")]
    assert heads == ["Machine", "Backends", "Models here", "Next"]
    assert "\x1b" not in outcome.out, "no colour into a pipe"
    assert "GB/s read" in outcome.out, "measured now, if it was not before"


def test_programs_get_json_alone(command, healthy) -> None:
    outcome = command("doctor", "--json")
    found = json.loads(outcome.out)
    assert found["machine"]["total_memory"] > 0
    assert found["machine"]["bandwidth"] > 0
    assert found["backends"][0]["state"] == "used"
    assert found["next"]


def test_what_was_measured_is_not_measured_again(command, healthy) -> None:
    first, second = (json.loads(command("doctor", "--json").out)["machine"]["bandwidth"] for _ in range(2))
    assert first == second


def test_a_model_that_was_fetched_is_what_to_run(command, healthy, tiny) -> None:  # noqa: F811
    assert json.loads(command("doctor", "--json").out)["next"][0]["command"].startswith("edgellm run")
    assert command("pull", "tiny").code == 0
    found = json.loads(command("doctor", "--json").out)
    (model,) = found["models"]
    assert (model["name"], model["bytes"], model["origin"]) == ("tiny", 700, "edgellm")
    assert Path(model["path"]).is_file()
    assert [step["command"] for step in found["next"]] == ["edgellm chat", "edgellm serve"]


def test_a_model_of_another_program_is_listed(command, healthy, home: Path) -> None:
    place = home / ".lmstudio" / "models" / "maker" / "tiny-GGUF"
    place.mkdir(parents=True)
    (place / "tiny-Q4_0.gguf").write_bytes(b"GGUF" + bytes(60))
    found = json.loads(command("doctor", "--json").out)
    (model,) = found["models"]
    assert (model["origin"], model["path"], model["bytes"]) == ("lm-studio", str(place / "tiny-Q4_0.gguf"), 64)
    assert found["next"][0]["command"] == f"edgellm chat -m {place / 'tiny-Q4_0.gguf'}"
    assert "of LM Studio" in command("doctor").out


def test_without_a_backend_the_exit_code_is_1(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "backends", lambda machine, kept: (BROKEN,))
    outcome = command("doctor")
    assert outcome.code == 1
    assert "broken: x" in outcome.out
    assert "pip install again" in outcome.out


def test_settings_that_are_wrong_are_said(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_ON_BATTERY", "maybe")
    outcome = command("doctor")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: EDGELLM_ON_BATTERY is 'maybe'")


def test_threads_on_battery_are_said(command, healthy, monkeypatch: pytest.MonkeyPatch) -> None:
    here = changed(power=Power(on_battery=True, percent=9), bandwidth=1.0)
    monkeypatch.setattr(machine, "detect", lambda *_, **__: here)
    assert "4 for a model, half of them to save the battery" in command("doctor").out
    monkeypatch.setenv("EDGELLM_ON_BATTERY", "full")
    assert "  threads       8 for a model\n" in command("doctor").out


def test_a_model_is_judged_by_its_header_and_the_memory(
    command, healthy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_model.build(home)
    other = LocalModel(name="other", bytes=1, path=str(path), origin="hub")
    unreadable = LocalModel(name="unreadable", bytes=1, path=str(home / "none.gguf"))
    monkeypatch.setattr(doctor, "_models", lambda: (other, unreadable))
    assert [each["verdict"] for each in json.loads(command("doctor", "--json").out)["models"]] == ["fits", ""]
    monkeypatch.setattr(machine, "detect", lambda *_, **__: examples.machine(0.01))
    found = json.loads(command("doctor", "--json").out)
    assert [each["verdict"] for each in found["models"]] == ["no", ""]
