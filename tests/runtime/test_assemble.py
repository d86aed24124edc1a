"""`open_model`: what is known of a model before it is loaded, and what its worker is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgellm import download
from edgellm.config import Settings
from edgellm.errors import ModelNotFound
from edgellm.fit.plan import Planner
from edgellm.request import SamplingParams
from edgellm.runtime import assemble, suited
from tests.machine.test_machine import PLAIN

ADVICE = SamplingParams(temperature=0.2, top_p=0.9)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("EDGELLM_HOME", "HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def test_a_model_of_the_catalog_has_its_makers_sampling(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda *_, **__: home / "model.gguf")
    model = assemble.open_model("default", Settings())
    assert (model.info.name, model.info.sampling) == ("smollm2", ADVICE)


def test_of_several_it_is_told_why_this_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda *_, **__: home / "model.gguf")
    monkeypatch.setattr(suited, "planner_of", lambda settings: Planner(PLAIN, settings.model_settings()))
    (note,) = assemble.open_model("code", Settings(offline=True)).info.notes
    assert note.startswith("code is qwen2.5-coder-0.5b here: the smallest of them, ") and note.endswith(".")
    assert assemble.open_model("default", Settings()).info.notes == ()


def test_a_file_has_ours(home: Path) -> None:
    file = home / "own.gguf"
    file.write_bytes(b"GGUF")
    model = assemble.open_model(str(file), Settings())
    assert (model.info.name, model.info.sampling) == ("own", SamplingParams())


def test_the_worker_is_told_all_that_open_model_knows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda *_, **__: home / "model.gguf")
    monkeypatch.setattr(assemble.sys, "setswitchinterval", lambda _: None)
    told = {}
    monkeypatch.setattr(assemble, "WorkerSpec", lambda factory, arguments, growth: told.update(arguments))
    known = assemble.open_model("default", Settings()).info
    assert assemble.local_model(**told).info == known


@pytest.fixture
def told(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a worker would be told; "big" is a model of the catalog whose partner is called "little"."""
    (home / "config").mkdir()
    little = 'title="L"\nfamily="f"\nlicense="l"\ncontext=1\nparameters=1\nquantization="Q4_0"\n'
    source = 'file="NAME.gguf"\nbytes=4\nsha256="%s"\nsources=[{kind="file",path="/nowhere"}]\n' % ("0" * 64)
    entries = [
        f"[models.{name}]\n{little}{source.replace('NAME', name)}{partner}"
        for name, partner in (("little", ""), ("big", 'draft="little"\n'))
    ]
    (home / "config" / "models.toml").write_text("\n".join(entries))
    monkeypatch.setattr(download, "fetch", lambda entry, *_, **__: home / f"{entry.name}.gguf")
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(assemble, "WorkerSpec", lambda factory, told, **_: arguments.update(told))
    return arguments


def test_a_partner_drafts_if_it_is_on_this_machine(told: dict[str, str], home: Path) -> None:
    assemble.open_model("big", Settings())
    assert "draft" not in told
    place = home / "data" / "models" / "little"
    place.mkdir(parents=True)
    (place / "little.gguf").write_bytes(b"GGUF")
    assemble.open_model("big", Settings())
    assert (told["draft"], told["draft_named"]) == (str(place / "little.gguf"), False)
    told.clear()
    for settings in (Settings(draft="none"), Settings(speculation="off"), Settings(speculation="ngram", draft="x")):
        assemble.open_model("big", settings)
        assert "draft" not in told


def test_a_draft_that_was_named_is_fetched(told: dict[str, str], home: Path) -> None:
    assemble.open_model("smollm2", Settings(draft="big"))
    assert (told["draft"], told["draft_named"]) == (str(home / "big.gguf"), True)
    with pytest.raises(ModelNotFound):
        assemble.open_model("smollm2", Settings(draft="no-such-model"))


def test_the_worker_is_told_how_many_threads(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "detect", lambda: msgspec.structs.replace(PLAIN, usable_cores=3))
    assemble.open_model("little", Settings())
    assert told["settings"]["threads"] == 3
    assemble.open_model("little", Settings(threads=5))
    assert told["settings"]["threads"] == 5
