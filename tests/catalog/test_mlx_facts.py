"""Facts of folders as MLX takes them."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import pytest

from edgellm.catalog import metadata
from edgellm.catalog.mlx_config import Config
from edgellm.catalog.mlx_memory import layers
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.errors import EdgeLLMError, NotAModel

BYTES = {"U32": 4, "BF16": 2, "F32": 4, "U8": 1}
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 4096,
    "vocab_size": 100,
    "quantization": {"group_size": 32, "bits": 4},
}
Shapes = dict[str, tuple[tuple[int, ...], str]]


def packed(name: str, rows: int, columns: int) -> Shapes:
    """A weight of 4 bits in groups of 32, as MLX packs it."""
    return {
        f"{name}.weight": ((rows, columns // 8), "U32"),
        f"{name}.scales": ((rows, columns // 32), "BF16"),
        f"{name}.biases": ((rows, columns // 32), "BF16"),
    }


WEIGHTS: Shapes = {
    **packed("model.embed_tokens", 100, 64),
    **packed("model.layers.0.self_attn.q_proj", 64, 64),
    **packed("model.layers.1.mlp.switch_mlp.up_proj", 128, 64),
    **packed("model.layers.1.mlp.shared_experts.up_proj", 128, 64),
    "model.norm.weight": ((64,), "BF16"),
}


def write_tensors(path: Path, shapes: Shapes) -> None:
    header, at = {"__metadata__": {"format": "mlx"}}, 0
    entries: dict[str, Any] = dict(header)
    for name, (shape, kind) in shapes.items():
        end = at + prod(shape) * BYTES[kind]
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


def folder(tmp_path: Path, config: dict[str, Any] | None = None, shapes: Shapes | None = None) -> ModelFacts:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | (config or {})))
    write_tensors(tmp_path / "model.safetensors", WEIGHTS if shapes is None else shapes)
    return metadata.facts(tmp_path)


def test_a_quantized_folder(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "hello", "x": ["<|fim_prefix|>"]}))
    found = folder(tmp_path)
    assert (found.format, found.architecture, found.quantization) == ("mlx", "llama", "4-bit")
    assert (found.context, found.embedding, found.heads, found.feed_forward) == (4096, 64, 4, 128)
    assert found.parameters == 100 * 64 + 64 * 64 + 2 * 128 * 64 + 64
    each = 128 * 64 // 2 + 2 * 2 * 128 * 64 // 32
    assert found.layers == (
        LayerFacts(key=32, value=32, weights=64 * 64 // 2 + 2 * 2 * 64 * 64 // 32),
        LayerFacts(key=32, value=32, weights=2 * each, experts=each),
    )
    assert found.tied and found.input_bytes == found.output_bytes == 100 * 64 // 2 + 2 * 2 * 100 * 2
    assert found.weight_bytes == found.input_bytes + found.other_bytes + sum(layer.weights for layer in found.layers)
    assert found.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found.template == "hello" and not found.fim and not found.pooling and not found.vision


def test_several_files_an_output_and_an_image_encoder(tmp_path: Path) -> None:
    write_tensors(
        tmp_path / "model-00002-of-00002.safetensors",
        {"lm_head.weight": ((100, 64), "BF16"), "vision_tower.layers.0.q.weight": ((8, 8), "F32")},
    )
    found = folder(tmp_path, {"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}})
    assert not found.tied and found.output_bytes == 12_800 and found.idle_bytes == 256 and found.vision
    assert found.quantization == "mxfp4"


def test_without_quantization_the_type_is_named(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "chat_template.jinja").write_text("from its own file")
    (tmp_path / "tokenizer.json").write_text('{"added": ["<fim_prefix>", "<fim_suffix>"]}')
    found = folder(tmp_path, {"quantization": None}, {"model.layers.0.a.weight": ((8, 8), "BF16")})
    assert found.quantization == "bf16" and found.parameters == 64
    assert found.pooling and found.fim and found.template == "from its own file"


def memory(tmp_path: Path, **config: Any) -> list[LayerFacts]:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | config))
    return layers(Config(tmp_path))


FULL = LayerFacts(key=32, value=32)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [FULL] * 2),
        ({"head_dim": 32}, [LayerFacts(key=64, value=64)] * 2),
        ({"sliding_window": 512}, [FULL] * 2),
        (
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 512},
            [LayerFacts(key=32, value=32, window=512), FULL],
        ),
        (
            {"model_type": "gemma3_text", "sliding_window_pattern": 2, "sliding_window": 512},
            [LayerFacts(key=32, value=32, window=512), FULL],
        ),
        ({"model_type": "gemma2", "layer_types": ["sliding_attention"] * 2, "sliding_window": 512}, [FULL] * 2),
        ({"num_kv_shared_layers": 1}, [FULL, LayerFacts()]),
        (
            {"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64},
            [LayerFacts(key=576, value=0)] * 2,
        ),
        (
            {"model_type": "deepseek_v2", "kv_lora_rank": 512, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16}
            | {"v_head_dim": 20},
            [LayerFacts(key=48, value=40)] * 2,
        ),
        (
            {"full_attention_interval": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 8}
            | {"linear_num_value_heads": 4, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4},
            [LayerFacts(state=3 * (2 * 16 + 32) + 4 * 8 * 8), FULL],
        ),
        ({"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}, [LayerFacts(state=128), FULL]),
        (
            {"model_type": "granitemoehybrid", "layer_types": ["mamba", "attention"], "mamba_n_heads": 4}
            | {"mamba_d_head": 8, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_d_conv": 4},
            [LayerFacts(state=3 * (32 + 32) + 32 * 16), FULL],
        ),
        (
            {"model_type": "nemotron_h", "hybrid_override_pattern": "-*", "ssm_state_size": 16},
            [LayerFacts(), FULL],
        ),
        ({"text_config": {"num_hidden_layers": 1, "num_key_value_heads": 4}}, [LayerFacts(key=64, value=64)]),
    ],
)
def test_what_layers_keep(tmp_path: Path, config: dict[str, Any], expected: list[LayerFacts]) -> None:
    assert memory(tmp_path, **config) == expected


@pytest.mark.parametrize(
    "config",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"num_hidden_layers": 9999}', b'{"hidden_size": 99999999999999}', b"\xff"],
)
def test_damaged_settings(tmp_path: Path, config: bytes) -> None:
    write_tensors(tmp_path / "model.safetensors", WEIGHTS)
    (tmp_path / "config.json").write_bytes(config)
    with pytest.raises(NotAModel, match=r"config\.json"):
        metadata.facts(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 3) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{x",
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": 4, "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
        b' "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}',
    ],
)
def test_damaged_weights(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    data = struct.pack("<Q", len(header)) + header + bytes(8) if header.startswith(b"{") else header
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(EdgeLLMError, match=r"model\.safetensors"):
        metadata.facts(tmp_path)


def test_a_tensor_in_two_files(tmp_path: Path) -> None:
    write_tensors(tmp_path / "other.safetensors", {"model.norm.weight": ((64,), "BF16")})
    with pytest.raises(NotAModel, match="not its own"):
        folder(tmp_path)
