"""Facts of folders as ONNX Runtime GenAI takes them."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.catalog import metadata, onnx_tensors
from edgellm.catalog.model_facts import LayerFacts
from edgellm.errors import NotAModel

FLOAT, BYTE = 1, 2
DECODER = {
    "filename": "model.onnx",
    "head_size": 16,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
}


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, shape: tuple[int, ...], kind: int, *, outside: bool = False) -> bytes:
    size = prod(shape) * (4 if kind == FLOAT else 1)
    parts = [field(1, number) for number in shape] + [field(2, kind), field(8, name.encode())]
    if not outside:
        return b"".join([*parts, field(9, bytes(size))])
    for key, value in (("location", "model.onnx.data"), ("offset", "0"), ("length", str(size))):
        parts.append(field(13, field(1, key.encode()) + field(2, value.encode())))
    return b"".join([*parts, field(14, 1)])


def graph(*tensors: bytes) -> bytes:
    nodes = [field(1, b"a node that is stepped over")]
    return field(1, 10) + field(7, b"".join(nodes + [field(5, one) for one in tensors])) + field(8, b"opset")


MODEL = graph(
    tensor("model.embed_tokens.weight", (100, 64), FLOAT),
    tensor("model.layers.0.attn.q_proj.MatMul.weight_Q4", (64, 2, 16), BYTE, outside=True),
    tensor("model.layers.0.attn.q_proj.MatMul.weight_scales", (128,), FLOAT),
    tensor("model.layers.1.moe.experts.gate_up_proj.qweight", (8, 64, 32), BYTE, outside=True),
    tensor("lm_head.MatMul.weight_Q8G32", (100, 64), BYTE),
    tensor("model.layers.2.final_norm_layernorm.weight", (64,), FLOAT),
)


def write(folder: Path, decoder: dict[str, Any] | None = None, model: bytes = MODEL, **more: Any) -> Path:
    described = {"type": "llama", "context_length": 8192, "vocab_size": 100, "decoder": DECODER | (decoder or {})}
    (folder / "genai_config.json").write_text(json.dumps({"model": described | more, "search": {}}))
    (folder / "model.onnx").write_bytes(model)
    (folder / "model.onnx.data").write_bytes(bytes(5000))
    return folder


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("hello")
    found = metadata.facts(write(tmp_path))
    assert (found.format, found.architecture, found.quantization) == ("onnx", "llama", "int4")
    assert (found.context, found.embedding, found.heads, found.vocabulary) == (8192, 64, 4, 100)
    assert found.layers == (
        LayerFacts(key=32, value=32, weights=2048 + 512),
        LayerFacts(key=32, value=32, weights=16_384, experts=16_384),
    )
    assert (found.input_bytes, found.output_bytes, found.tied, found.other_bytes) == (25_600, 6400, False, 256)
    assert found.weight_bytes == 2560 + 16_384 + 25_600 + 6400 + 256
    assert found.parameters == 6400 + 2 * 2048 + 2 * 16_384 + 6400 + 64
    assert found.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found.template == "hello" and not found.vision


def test_windows_and_images(tmp_path: Path) -> None:
    window = {"window_size": 512, "layers": [0], "slide_key_value_cache": False}
    found = metadata.facts(write(tmp_path, {"sliding_window": window}, vision={"filename": "vision.onnx"}))
    assert [layer.window for layer in found.layers] == [512, 0] and found.vision


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        ({"filename": "../model.onnx"}, "lacks"),
        ({"filename": "a\\model.onnx"}, "lacks"),
        ({"filename": ""}, "lacks"),
        ({"filename": "absent.onnx"}, "lacks"),
        ({"num_hidden_layers": 10**6}, "layers"),
        ({"num_hidden_layers": -1}, "layers"),
        ({"head_size": 2**40}, "sizes"),
        ({"head_size": "x"}, "damaged"),
    ],
)
def test_settings_that_are_damaged(tmp_path: Path, decoder: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        metadata.facts(write(tmp_path, decoder))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        varint(7 << 3 | 2) + varint(2**62) + b"x",
        field(7, field(5, varint(1 << 3 | 2) + varint(99))),
        field(7, b"\x0b"),
        MODEL[:-100],
    ],
)
def test_a_damaged_graph(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(NotAModel, match=r"model\.onnx"):
        metadata.facts(write(tmp_path, model=data))


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(MODEL) - 1), piece=st.binary(min_size=1, max_size=12))
def test_any_bytes_in_a_graph(tmp_path_factory: pytest.TempPathFactory, at: int, piece: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.onnx"
    path.write_bytes(MODEL[:at] + piece + MODEL[at + len(piece) :])
    try:
        found = onnx_tensors.read(path)
    except NotAModel:
        return
    assert len(found) <= len(MODEL)
