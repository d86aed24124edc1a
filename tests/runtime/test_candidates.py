"""Candidates of a repository: one header is read, and all its quantizations are judged by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgellm.catalog.entry import Entry
from edgellm.catalog.metadata import facts
from edgellm.catalog.reference import HubReference
from edgellm.catalog.sources import HubSource
from edgellm.errors import DownloadError, Offline
from edgellm.runtime import candidates
from tests import tiny_model
from tests.doubles.hub import HubDouble, Repository, only_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    with only_hub(tmp_path / "huggingface", monkeypatch) as double:
        yield double


@pytest.fixture
def files(hub: HubDouble, tmp_path: Path) -> dict[str, Path]:
    """A repository with a model in two sizes of number, and what lies beside models."""
    found = {"F16": tiny_model.build(tmp_path, half=True), "F32": tiny_model.build(tmp_path)}
    data = {f"tiny-{name}.gguf": path.read_bytes() for name, path in found.items()}
    hub.repositories["user/tiny-GGUF"] = Repository({**data, "README.md": b"a model", "mmproj-F16.gguf": b"no model"})
    return found


def test_one_header_tells_of_all_quantizations(hub: HubDouble, files: dict[str, Path]) -> None:
    small, large = candidates.of_name("user/tiny-GGUF")
    assert (small.facts.quantization, small.read, large.facts.quantization, large.read) == ("F16", True, "F32", False)
    exact = {name: facts(path) for name, path in files.items()}
    assert small.facts.weight_bytes == exact["F16"].weight_bytes
    assert large.facts.weight_bytes == pytest.approx(exact["F32"].weight_bytes, rel=0.01)
    assert [layer.key for layer in large.facts.layers] == [layer.key for layer in exact["F32"].layers]
    assert large.facts.parameters == exact["F32"].parameters


def test_one_quantization_can_be_named(hub: HubDouble, files: dict[str, Path]) -> None:
    (only,) = candidates.of_name("hf.co/user/tiny-GGUF:f32")
    assert only.facts.quantization == "F32"


def test_a_repository_without_models_is_told(hub: HubDouble) -> None:
    hub.repositories["user/data"] = Repository({"README.md": b"data"})
    with pytest.raises(DownloadError, match="no GGUF model"):
        candidates.of_name("user/data")


def test_offline_asks_nobody(hub: HubDouble, files: dict[str, Path]) -> None:
    with pytest.raises(Offline):
        candidates.of_name("user/tiny-GGUF", offline=True)
    assert hub.requests == []


def test_a_model_of_the_catalog_does_without_the_hub(hub: HubDouble) -> None:
    found = candidates.of_name("qwen3-8b")
    assert {each.facts.quantization for each in found} >= {"Q4_K_M", "Q8_0"}
    assert not any(each.read or each.here for each in found)


def test_what_would_be_fetched_is_told_by_listing_and_header(hub: HubDouble, files: dict[str, Path]) -> None:
    exact = {name: facts(path) for name, path in files.items()}
    entry = Entry(
        name="tiny",
        title="Tiny",
        family="tiny",
        license="MIT",
        quantization="F32",
        sources=(HubSource(repository="user/tiny-GGUF", quantizations=("F32",)),),
    )
    found = candidates.to_fetch(entry)
    assert found is not None and found.weight_bytes == pytest.approx(exact["F32"].weight_bytes, rel=0.01)
    found = candidates.to_fetch(HubReference("user/tiny-GGUF", "F16"))
    assert found is not None and found.weight_bytes == exact["F16"].weight_bytes
    assert candidates.to_fetch(HubReference("user/tiny-GGUF", "Q4_0")) is None
    assert candidates.to_fetch(HubReference("user/tiny-GGUF")) is not None
    assert list(candidates.of_entry(entry)) == [], "without a count of parameters there is nothing to guess from"
    with pytest.raises(DownloadError):
        candidates.to_fetch(HubReference("user/none-GGUF"))
