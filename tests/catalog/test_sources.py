"""Sources: which files of a repository are the model, and that nothing leads out of it."""

from __future__ import annotations

import msgspec
import pytest

from edgellm.catalog.sources import HubSource, Source, UrlSource, is_repository

LISTING = (
    "README.md",
    "qwen-q4_k_m-00002-of-00002.gguf",
    "qwen-q4_k_m-00001-of-00002.gguf",
    "qwen-q4_k_s.gguf",
    "qwen-q8_0.gguf",
    "mmproj-qwen-q8_0.gguf",
    "onnx/int4/model.onnx",
    "onnx/int4/genai_config.json",
    "onnx/fp16/model.onnx",
)


def test_a_split_model_is_all_its_files_in_order() -> None:
    source = HubSource(repository="a/b")
    assert source.files(LISTING, "Q4_K_M") == LISTING[2:0:-1]
    assert source.files(LISTING, "q4_k_s") == ("qwen-q4_k_s.gguf",)
    assert source.files(LISTING, "Q8_0") == ("qwen-q8_0.gguf",)


def test_an_absent_quantization_is_not_taken_for_a_longer_one() -> None:
    assert HubSource(repository="a/b").files(LISTING, "Q4_K") == ()


def test_without_a_quantization_a_pattern_may_name_the_file() -> None:
    assert HubSource(repository="a/b", file="*-q8_0.gguf").files(LISTING) == ("qwen-q8_0.gguf",)
    assert HubSource(repository="a/b", file="model.gguf").files(["model.gguf"], "Q4_0") == ("model.gguf",)


def test_a_folder_is_every_file_that_matches() -> None:
    source = HubSource(repository="a/b", format="onnx", file="onnx/{quantization}/*")
    assert source.files(LISTING, "int4") == ("onnx/int4/genai_config.json", "onnx/int4/model.onnx")


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "hub", "repository": "a/../b"},
        {"kind": "hub", "repository": "a"},
        {"kind": "hub", "repository": "a/b", "file": "../x.gguf"},
        {"kind": "hub", "repository": "a/b", "file": "/x.gguf"},
        {"kind": "hub", "repository": "a/b", "file": "a/../x.gguf"},
        {"kind": "hub", "repository": "a/b", "revision": "../x"},
        {"kind": "hub", "repository": "a/b", "format": "pickle"},
        {"kind": "hub", "repository": "a/b", "fiel": "x"},
        {"kind": "url", "url": "file:///etc/passwd"},
        {"kind": "url", "url": "https://a b"},
        {"kind": "url", "url": "https://a/b.gguf", "sha256": "00"},
        {"kind": "package", "parts": [{"requirement": "a==1", "member": "../x"}]},
        {"kind": "package", "parts": []},
    ],
)
def test_a_wrong_source_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, Source)


def test_sources_survive_being_written_down() -> None:
    sources = [HubSource(repository="a/b", quantizations=("Q4_0",)), UrlSource(url="https://a/b.gguf")]
    assert msgspec.json.decode(msgspec.json.encode(sources), type=list[Source]) == sources


def test_repositories_are_called_as_the_hub_allows() -> None:
    assert is_repository("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF") and is_repository("01-ai/Yi_6B")
    assert not any(is_repository(text) for text in ("a", "a/b/c", "a/.b", "a/b.", "a/b\n", "a/b..c", "/b"))
