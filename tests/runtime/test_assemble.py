"""`open_model`: what is known of a model before it is loaded, and what its worker is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm import download
from edgellm.config import Settings
from edgellm.request import SamplingParams
from edgellm.runtime import assemble

ADVICE = SamplingParams(temperature=0.2, top_p=0.9)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    return tmp_path


def test_a_model_of_the_catalog_has_its_makers_sampling(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda *_, **__: home / "model.gguf")
    model = assemble.open_model("default", Settings())
    assert (model.info.name, model.info.sampling) == ("smollm2", ADVICE)


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
