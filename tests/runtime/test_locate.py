"""`locate`: every way to name a model, what is used in place, and what is fetched under which name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgellm import download
from edgellm.catalog import aliases, catalog, in_place
from edgellm.catalog.entry import Entry
from edgellm.catalog.found import Found
from edgellm.catalog.reference import HubReference, UrlReference
from edgellm.config import Settings
from edgellm.errors import ModelNotFound, UnsupportedModel
from edgellm.fit.plan import Planner
from edgellm.request import SamplingParams
from edgellm.runtime import suited
from edgellm.runtime.locate import Located, locate
from tests.fit import examples


class Downloads:
    """Stands for `download`: `held` is what is here, by reference; `fetched` is what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held_here: dict[str, str] = {}
        self.fetched: list[Any] = []
        self.others: list[Found] = []

    def fetch(self, model: Any, progress: Any = None, *, offline: bool = False) -> Path:
        self.fetched.append(model)
        return self.folder / "fetched.gguf"

    def held(self, model: Any) -> Any:
        known = model.reference if isinstance(model, Entry) else str(model)
        quantization = self.held_here.get(known)
        path = self.folder / "held.gguf"
        return type("Held", (), {"quantization": quantization, "path": path}) if quantization else None


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    double = Downloads(tmp_path)
    monkeypatch.setattr(download, "fetch", double.fetch)
    monkeypatch.setattr(download, "held", double.held)
    monkeypatch.setattr(in_place, "on_this_machine", lambda: double.others)
    return double


def test_a_file_is_used_in_place(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    assert locate("own.gguf", Settings()) == Located(path=tmp_path / "own.gguf", name="own")
    assert locate(str(tmp_path), Settings()).path == tmp_path / "own.gguf"
    assert downloads.fetched == []


def test_a_name_is_fetched_with_what_the_catalog_knows(downloads: Downloads) -> None:
    found = locate("default", Settings())
    assert (found.name, found.sampling) == ("smollm2", SamplingParams(temperature=0.2, top_p=0.9))
    assert locate("smollm2:Q8_0", Settings()).name == "smollm2:Q8_0"
    assert [model.reference for model in downloads.fetched] == ["smollm2", "smollm2:Q8_0"]


def test_a_repository_is_called_by_what_was_taken_of_it(downloads: Downloads) -> None:
    assert locate("hf.co/a/b:q5_k_m", Settings()).name == "a/b:Q5_K_M"
    assert locate("a/b", Settings()).name == "a/b"
    downloads.held_here["a/b"] = "Q4_K_M"
    assert locate("a/b", Settings()).name == "a/b:Q4_K_M"
    assert downloads.fetched[0] == HubReference("a/b", "Q5_K_M")
    assert len(downloads.fetched) == 2


def test_a_known_repository_has_its_entrys_sampling(downloads: Downloads) -> None:
    known = catalog.shipped().entries["qwen3-4b"]
    assert locate("qwen/qwen3-4b-gguf", Settings()).sampling == known.sampling != SamplingParams()


def test_an_address_is_fetched(downloads: Downloads) -> None:
    assert locate("https://example.org/x.gguf", Settings()).name == "fetched"
    assert downloads.fetched == [UrlReference("https://example.org/x.gguf")]


def test_of_an_alias_the_largest_that_is_here_is_taken_else_what_suits_the_machine(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = examples.machine(0.5)
    monkeypatch.setattr(suited, "planner_of", lambda settings: Planner(small, settings))
    names = [str(reference) for reference in catalog.alias_candidates("code")]
    assert locate("code", Settings()).name == names[-1]
    downloads.held_here = {names[1]: "Q4_K_M", names[2]: "Q4_K_M"}
    assert locate("code", Settings()).name == names[1]


def test_a_moved_alias_may_be_a_path(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    aliases.move("default", "own.gguf", catalog.current())
    assert locate("default", Settings()) == Located(path=tmp_path / "own.gguf", name="own")


def test_a_folder_of_the_hubs_cache_is_a_model_of_the_catalog(downloads: Downloads, tmp_path: Path) -> None:
    name = "mlx-community/Qwen3-4B-4bit"
    downloads.others = [Found(name=name, origin="hub", path=tmp_path, bytes=1, format="mlx")]
    found = locate("qwen3-4b", Settings(backend="mlx"))
    assert (found.path, found.name) == (tmp_path, "qwen3-4b:4-bit")
    assert locate(name, Settings(backend="auto")).path == tmp_path
    assert downloads.fetched == []


@pytest.mark.parametrize("text", ["smolm2", "none.gguf", "a//b", "http://x/y.gguf"])
def test_what_is_nothing_is_told(downloads: Downloads, text: str) -> None:
    with pytest.raises(ModelNotFound):
        locate(text, Settings())
    assert downloads.fetched == []


def test_a_folder_is_used_in_place(downloads: Downloads, tmp_path: Path) -> None:
    folder = tmp_path / "mlx"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    found = locate(str(folder), Settings())
    assert (found, found.kind) == (Located(path=folder, name="mlx"), "mlx")


def test_a_backend_of_the_settings_takes_the_source_of_its_format(downloads: Downloads) -> None:
    assert locate("qwen3-4b", Settings(backend="auto", offline=True)).name == "qwen3-4b"
    assert locate("qwen3-4b", Settings(backend="mlx")).name == "qwen3-4b:4-bit"
    assert [source.format for source in downloads.fetched[-1].sources] == ["mlx"]
    with pytest.raises(UnsupportedModel, match="ONNX Runtime was asked for"):
        locate("qwen3-4b", Settings(backend="onnx"))


class TestModelsOfOtherPrograms:
    """What Ollama, LM Studio or another tool of the hub holds is used where it lies."""

    @pytest.fixture(autouse=True)
    def others(self, downloads: Downloads, tmp_path: Path) -> None:
        def found(name: str, origin: Any, file: str) -> Found:
            (tmp_path / file).write_bytes(b"GGUF")
            return Found(name=name, origin=origin, path=tmp_path / file, bytes=4)

        downloads.others = [
            found("qwen2.5:0.5b", "ollama", "blob1"),
            found("phi3:latest", "ollama", "blob2"),
            found("hf.co/a/b-GGUF:Q8_0", "ollama", "blob3"),
            found("somebody/theirs:7b", "ollama", "blob4"),
            found("Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf", "lm-studio", "lm.gguf"),
        ]

    @pytest.mark.parametrize(
        ("text", "file", "name"),
        [
            ("qwen2.5:0.5b", "blob1", "qwen2.5:0.5b"),
            ("Phi3", "blob2", "phi3:latest"),
            ("hf.co/a/b-GGUF:q8_0", "blob3", "a/b-GGUF:Q8_0"),
            ("a/b-gguf", "blob3", "a/b-gguf:Q8_0"),
            ("somebody/theirs:7b", "blob4", "somebody/theirs:7b"),
            ("qwen/qwen3-4b-gguf/qwen3-4b-q4_k_m.gguf", "lm.gguf", "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf"),
            ("hf.co/Qwen/Qwen3-4B-GGUF", "lm.gguf", "Qwen/Qwen3-4B-GGUF:Q4_K_M"),
            ("qwen3-4b", "lm.gguf", "qwen3-4b"),
            ("default-smart", "lm.gguf", "qwen3-4b"),
        ],
    )
    def test_they_are_used_in_place(
        self, downloads: Downloads, tmp_path: Path, text: str, file: str, name: str
    ) -> None:
        found = locate(text, Settings())
        assert (found.path, found.name) == (tmp_path / file, name)
        assert downloads.fetched == []

    def test_an_alias_may_stand_for_one(self, tmp_path: Path) -> None:
        for target, file in (("qwen2.5:0.5b", "blob1"), ("PHI3", "blob2"), ("hf.co/a/b-GGUF:Q8_0", "blob3")):
            aliases.move("default", target, catalog.current())
            assert locate("default", Settings()).path == tmp_path / file

    def test_another_quantization_is_fetched(self, downloads: Downloads) -> None:
        assert locate("qwen3-4b:Q8_0", Settings()).name == "qwen3-4b:Q8_0"
        assert locate("a/b-GGUF:Q4_0", Settings()).name == "a/b-GGUF:Q4_0"
        assert len(downloads.fetched) == 2

    def test_they_are_among_what_may_have_been_meant(self) -> None:
        with pytest.raises(ModelNotFound, match=r"Did you mean .*qwen2\.5:0\.5b"):
            locate("qwen2.5:0.6b", Settings())
