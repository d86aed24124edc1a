"""Which library computes: what the settings say, what is out of the question, and what a trial showed, asked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from edgellm.backends import ik, ik_wheel
from edgellm.config import ModelSettings
from edgellm.errors import Unsupported
from edgellm.machine.machine import Gpu, Machine, detect
from edgellm.machine.measurements import Measurements
from edgellm.runtime import native_choice
from edgellm.runtime.native_choice import native_for
from edgellm.runtime.native_trial import Speeds, Trial, compare
from edgellm.runtime.trial_process import Telling
from tests import models, tiny_model

SLOW = Speeds(prompt=1500.0, one=45.0, eight=290.0, four=125.0)
FAST = Speeds(prompt=1300.0, one=43.0, eight=140.0, four=80.0)


@pytest.fixture
def machine() -> Machine:
    return replace(detect(), arch="x86_64", gpus=())


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ik, "installed", lambda: ik.VERSION)
    monkeypatch.setattr(ik_wheel, "is_known", lambda: True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path)


def chosen(file: Path, machine: Machine, trial: Trial | None = None, **settings: Any) -> native_choice.Native:
    def run(path: Path, given: ModelSettings, telling: Telling) -> Trial:
        assert trial is not None, "nothing was to be tried"
        return trial

    given = ModelSettings(threads=2, **settings)
    return native_for(file, given, machine, Measurements(file.parent / "kept"), run=run)


def test_the_faster_one_is_taken(file: Path, machine: Machine) -> None:
    assert chosen(file, machine, Trial(stock=SLOW, fork=FAST)).name == "ik"


def test_the_slower_one_is_not(file: Path, machine: Machine) -> None:
    native = chosen(file, machine, Trial(stock=FAST, fork=SLOW))
    assert native.name == "llama.cpp"
    assert "45 ms a token against 43" in native.reason


def test_one_that_writes_another_text_is_never_taken(file: Path, machine: Machine) -> None:
    native = chosen(file, machine, Trial(problem="its text is not llama.cpp's for this model", stock=SLOW, fork=FAST))
    assert (native.name, "its text" in native.reason) == ("llama.cpp", True)


def test_a_model_is_tried_once_and_said_to_be(file: Path, machine: Machine) -> None:
    store, told, asked = Measurements(file.parent / "kept"), [], []

    def run(path: Path, settings: ModelSettings, telling: Telling) -> Trial:
        asked.append(path)
        return Trial(stock=SLOW, fork=FAST)

    for _ in range(3):
        native_for(file, ModelSettings(threads=2), machine, store, telling=told.append, run=run)
    assert (len(asked), told) == (1, [0])
    native_for(file, ModelSettings(threads=4), machine, store, run=run)
    assert len(asked) == 2, "another number of threads is another measurement"


def test_people_hear_of_it_when_it_is_used_or_was_just_found_wanting(file: Path, machine: Machine) -> None:
    wrong = Trial(problem="its text is not llama.cpp's for this model", stock=SLOW, fork=FAST)
    assert [chosen(file, machine, wrong).told for _ in range(2)] == [True, False]
    other = tiny_model.build(file.parent, seed=1)
    assert all(chosen(other, machine, Trial(stock=SLOW, fork=FAST)).told for _ in range(2))


def test_after_a_crash_it_is_not_taken_again(file: Path, machine: Machine) -> None:
    store = Measurements(file.parent / "kept")
    assert chosen(file, machine, Trial(stock=SLOW, fork=FAST)).chosen
    native_choice.distrust(file, ModelSettings(threads=2), machine, store, -11)
    native = chosen(file, machine)
    assert (native.name, "crashed with this model (killed by SIGSEGV)" in native.reason) == ("llama.cpp", True)


def test_libraries_that_nobody_tried_are_not_taken(
    file: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ik_wheel, "is_known", lambda: False)
    native = chosen(file, machine)
    assert (native.name, "not those of the wheels" in native.reason) == ("llama.cpp", True)
    assert chosen(file, machine, backend="ik").name == "ik", "whoever names it gets it"


def test_with_rpc_servers_it_is_out_of_the_question(file: Path, machine: Machine) -> None:
    assert "RPC" in chosen(file, machine, rpc="127.0.0.1:1").reason


def test_what_is_not_sure_is_tried_again(file: Path, machine: Machine) -> None:
    assert chosen(file, machine, Trial(problem="no memory", sure=False)).name == "llama.cpp"
    assert chosen(file, machine, Trial(stock=SLOW, fork=FAST)).name == "ik"


@pytest.mark.parametrize(
    ("changes", "settings", "reason"),
    [
        ({"arch": "arm64"}, {}, "x86-64"),
        ({"gpus": (Gpu(name="H", kind="cuda", total=1, free=1),)}, {}, "GPU"),
        ({}, {"kv_type": "q8_0"}, "settings"),
        ({}, {"flash_attention": "on"}, "settings"),
    ],
)
def test_what_is_out_of_the_question_is_not_tried(
    file: Path, machine: Machine, changes: dict[str, Any], settings: dict[str, Any], reason: str
) -> None:
    native = chosen(file, replace(machine, **changes), **settings)
    assert (native.name, reason in native.reason) == ("llama.cpp", True)


@pytest.mark.model
def test_what_it_is_known_to_compute_wrongly_is_not_tried(machine: Machine) -> None:
    native = native_for(models.path("smollm2"), ModelSettings(), machine, Measurements(Path("nowhere")), run=_never)
    assert (native.name, "Q4_1" in native.reason) == ("llama.cpp", True)


def _never(path: Path, settings: ModelSettings, telling: Telling) -> Trial:
    raise AssertionError


def test_settings_name_one(file: Path, machine: Machine) -> None:
    assert chosen(file, machine, backend="ik").name == "ik"
    assert chosen(file, machine, backend="llama.cpp").name == "llama.cpp"


def test_a_file_that_is_not_there_is_for_the_loader_to_tell(tmp_path: Path, machine: Machine) -> None:
    assert chosen(tmp_path / "nothing.gguf", machine).name == "llama.cpp"


@pytest.mark.parametrize(("version", "words"), [("", "not installed"), ("0.9.9", "only 0.1.5")])
def test_another_version_is_not_used(
    file: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str, words: str
) -> None:
    monkeypatch.setattr(ik, "installed", lambda: version)
    assert words in chosen(file, machine).reason
    if not version:
        with pytest.raises(Unsupported, match="pip install"):
            chosen(file, machine, backend="ik")


@pytest.mark.parametrize(
    ("fork", "taken"),
    [
        (SLOW, False),
        (replace(SLOW, one=42.0), True),
        (replace(SLOW, prompt=2000.0, one=30.0), False),  # whoever waits for a long prompt would notice
        (replace(SLOW, one=50.0, eight=100.0, four=60.0), False),
        (replace(SLOW, eight=150.0, four=80.0), True),  # as fast alone, and much faster together
        (replace(SLOW, one=42.0, eight=500.0), False),
    ],
)
def test_faster_means_that_nobody_waits_longer(fork: Speeds, taken: bool) -> None:
    assert Trial(stock=SLOW, fork=fork).faster is taken


def test_rounding_is_told_from_wrong_kernels() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (40, 500)).astype(np.float32)
    assert compare(logits, logits + random.normal(0, 0.02, logits.shape).astype(np.float32))[0] == ""
    assert "text" in compare(logits, random.normal(0, 3, logits.shape).astype(np.float32))[0]
    broken = logits.copy()
    broken[3, 7] = np.nan
    assert "numbers" in compare(logits, broken)[0]
    swapped = logits.copy()
    swapped[0, logits[0].argmax()] -= 20.0  # one row of forty: hardly seen in the mean
    assert compare(logits, swapped)[0]
