"""What only ONNX Runtime's folders can be: for another device, with code of their own, without their data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgellm.config import ModelSettings
from edgellm.errors import LoadError, NotAModel, UnsupportedModel

pytest.importorskip("onnxruntime_genai", reason="needs the extra `onnx`")

from edgellm.backends import onnx

SETTINGS = ModelSettings(threads=1, context=512, slots=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(Path(__file__).parent / "tiny-onnx", tmp_path / "tiny")


def change(folder: Path, **session: Any) -> None:
    path = folder / onnx.SETTINGS
    settings = json.loads(path.read_text())
    settings["model"]["decoder"]["session_options"] |= session
    path.write_text(json.dumps(settings))


def refusal(folder: Path) -> str:
    with pytest.raises(LoadError) as caught:
        onnx.OnnxBackend.load(folder, SETTINGS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_for_another_device_is_told_of(folder: Path) -> None:
    change(folder, provider_options=[{"cuda": {}}])
    if "CUDA" in onnx.providers():
        pytest.skip("this computer has CUDA")
    assert "is made for CUDA, and this computer has CPU for it" in refusal(folder)


def test_a_folder_runs_no_library_of_its_own(folder: Path) -> None:
    change(folder, custom_ops_library="./evil.so")
    with pytest.raises(UnsupportedModel, match="not allowed"):
        onnx.OnnxBackend.load(folder, SETTINGS)


@pytest.mark.parametrize("file", ["model.onnx", "model.onnx.data", onnx.SETTINGS, "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_told_of(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert str(folder) in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": 3}', '{"model": {"vocab_size": -1}}'])
def test_settings_that_are_none_are_told_of(folder: Path, text: str) -> None:
    (folder / onnx.SETTINGS).write_text(text)
    with pytest.raises(NotAModel):
        onnx.OnnxBackend.load(folder, SETTINGS)


def test_each_slot_has_a_context_of_its_own(folder: Path) -> None:
    backend = onnx.OnnxBackend.load(folder, SETTINGS)
    assert (backend.limits.slots, backend.limits.cells, backend.info.context_length) == (2, 1024, 512)
    backend.close()
