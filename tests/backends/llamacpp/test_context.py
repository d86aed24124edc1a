"""Each way a load can fail is its own error, with the path and the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.errors import LoadError, ModelNotFound, NotAModel, OutOfMemory, Unsupported, UnsupportedModel
from tests import tiny_model

SMALL = ModelSettings(context=256, threads=1, slots=2)


def failure(path: Path, kind: type[Exception], settings: ModelSettings = SMALL) -> str:
    with pytest.raises(kind) as caught:
        LlamaCppBackend.load(path, settings)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    return str(caught.value)


def changed(tiny: Path, directory: Path, old: bytes, new: bytes) -> Path:
    data = tiny.read_bytes()
    assert old in data
    path = directory / "changed.gguf"
    path.write_bytes(data.replace(old, new, 1))
    return path


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no model file" in failure(tmp_path / "missing.gguf", ModelNotFound)


def test_a_directory(tmp_path: Path) -> None:
    failure(tmp_path, NotAModel)


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04" + bytes(100), b"GGUF\x03\x00\x00\x00"])
def test_no_gguf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    failure(path, NotAModel)


@pytest.mark.parametrize("keep", [100, 5000, 100_000, -1])
def test_a_truncated_file(tiny: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(tiny.read_bytes()[:keep])
    assert "Download it again" in failure(path, NotAModel)


def test_an_unknown_architecture(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path, architecture="lhama")
    assert "'lhama'" in failure(path, UnsupportedModel)


def test_a_newer_version_of_the_format(tiny: Path, tmp_path: Path) -> None:
    path = changed(tiny, tmp_path, b"GGUF\x03\x00\x00\x00", b"GGUF\x09\x00\x00\x00")
    assert "version 9" in failure(path, UnsupportedModel)


def test_an_unknown_tokenizer(tiny: Path, tmp_path: Path) -> None:
    assert "gptx" in failure(changed(tiny, tmp_path, b"gpt2", b"gptx"), UnsupportedModel)


def test_a_missing_tensor(tiny: Path, tmp_path: Path) -> None:
    path = changed(tiny, tmp_path, b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight")
    assert "blk.1.ffn_up.weight" in failure(path, NotAModel)


def test_a_cache_that_no_machine_holds(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path, layers=48, kv_heads=4, head_width=256, width=8, feed_forward=8, vocabulary=300)
    assert "smaller context" in failure(path, OutOfMemory, ModelSettings(context=2**24, threads=1))


def test_a_quantized_cache_without_flash_attention(tiny: Path) -> None:
    with pytest.raises(Unsupported, match="flash"):
        LlamaCppBackend.load(tiny, ModelSettings(kv_type="q8_0", flash_attention="off"))


def test_heads_too_narrow_for_a_quantized_cache(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path, head_width=16)
    assert "f16" in failure(path, UnsupportedModel, ModelSettings(context=256, threads=1, kv_type="q8_0"))


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    path.write_bytes(tiny.read_bytes())
    path.chmod(0)
    failure(path, LoadError)


def test_a_failed_load_leaves_the_next_one_alone(tiny: Path, tmp_path: Path) -> None:
    failure(tmp_path / "missing.gguf", ModelNotFound)
    failure(changed(tiny, tmp_path, b"gpt2", b"gptx"), UnsupportedModel)
    LlamaCppBackend.load(tiny, SMALL).close()
