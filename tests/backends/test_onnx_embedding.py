"""The MiniLM int8 graph on ONNX Runtime: near the GGUF of the same model, whatever stands beside a text; and damage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgellm.backends.llamacpp.embedding import LlamaCppEmbedding
from edgellm.backends.onnx_embedding import OnnxEmbedding
from edgellm.catalog import model_folder
from edgellm.catalog.metadata import facts
from edgellm.config import ModelSettings
from edgellm.errors import NotAModel, Unsupported
from tests import minilm

TEXTS = ["A man is eating food.", "Someone has a meal.", "señor Müller 日本語 text!", "", "half \ud800 a pair"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return minilm.onnx(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def backend(folder: Path) -> Iterator[OnnxEmbedding]:
    opened = OnnxEmbedding.load(folder, ModelSettings(threads=1))
    yield opened
    opened.close()


@pytest.mark.model
def test_it_is_near_the_same_model_as_gguf(backend: OnnxEmbedding, folder: Path) -> None:
    other = LlamaCppEmbedding.load(minilm.gguf(folder.parent), ModelSettings(threads=1))
    try:
        inputs = [backend.tokenize(text) for text in TEXTS]
        assert inputs == [other.tokenize(text) for text in TEXTS]
        ours, theirs = backend.compute(inputs), other.compute(inputs)
    finally:
        other.close()
    assert (backend.width, backend.longest, backend.info.architecture) == (384, 512, "bert")
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() > 0.99
    np.testing.assert_array_equal(ours[1], backend.compute([inputs[1]])[0])


@pytest.mark.model
def test_its_folder_is_a_model(folder: Path) -> None:
    assert model_folder.kind(folder) == "onnx" and model_folder.model_at(folder) == folder
    found = facts(folder)
    assert found.pooling and (found.embedding, found.context, found.quantization) == (384, 512, "i8")


@pytest.mark.model
def test_damaged_folders_are_told(folder: Path, tmp_path: Path) -> None:
    for name, content in (("model.onnx", b"no graph"), ("tokenizer.json", b"{"), ("config.json", b"[]")):
        broken = tmp_path / name
        shutil.copytree(folder, broken)
        (broken / name).write_bytes(content)
        with pytest.raises(NotAModel, match=name.replace(".", r"\.")):
            OnnxEmbedding.load(broken, ModelSettings(threads=1))
    with pytest.raises(Unsupported, match="scores documents"):
        OnnxEmbedding.load(folder, ModelSettings(pooling="rank"))
    with pytest.raises(NotAModel, match=r"holds no ONNX graph"):
        OnnxEmbedding.load(tmp_path, ModelSettings())


@pytest.mark.model
def test_a_long_text_is_closed_where_it_is_cut(backend: OnnxEmbedding) -> None:
    tokens = backend.tokenize("food " * 600)
    kept = backend.shorten(tokens)
    assert len(tokens) == 602 and len(kept) == 512 and kept[-1] == tokens[-1] and kept[:511] == tokens[:511]
