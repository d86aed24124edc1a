"""Where the model of a manifest lies: a file, the first of its splits, or the folder that its files have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.download.manifest import Held, Manifest


@pytest.mark.parametrize(
    ("format", "files", "place"),
    [
        ("gguf", ["a/model.gguf"], "a/model.gguf"),
        ("gguf", ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], "m-00001-of-00002.gguf"),
        ("mlx", ["config.json", "model.safetensors"], ""),
        ("onnx", ["config.json", "onnx/model.onnx", "tokenizer.json"], ""),
        ("onnx", ["cpu/int4/genai_config.json", "cpu/int4/model.onnx"], "cpu/int4"),
        ("onnx", ["cpu/int4/more/x.json", "cpu/int4/model.onnx"], "cpu/int4"),
        ("onnx", ["cpu/model.onnx"], "cpu"),
    ],
)
def test_it_is_what_a_backend_loads(tmp_path: Path, format: str, files: list[str], place: str) -> None:
    held = tuple(Held(file=file, path=str(tmp_path / file), size=1, mtime_ns=0, sum="") for file in files)
    manifest = Manifest(
        reference="m", folder="m", origin="hub", source="a/m", format=format, files=held, fetched_at=1.0
    )
    assert manifest.path == tmp_path / place
