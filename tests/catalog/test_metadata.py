"""Facts of GGUF models: what their bytes are for, and what the header says besides."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import gguf
import pytest

from edgellm.catalog import metadata
from edgellm.catalog.metadata import ModelFacts
from edgellm.errors import EdgeLLMError, ModelNotFound, NotAModel
from tests import models, tiny_model
from tests.doubles import gguf_file

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
}
DENSE = {
    "token_embd.weight": ((64, 100), "Q8_0"),
    "blk.0.attn_q.weight": ((64, 64), "Q4_0"),
    "output_norm.weight": ((64,), "F32"),
}


def made(folder: Path, settings: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None) -> ModelFacts:
    path = gguf_file.write(folder / "m.gguf", LLAMA | (settings or {}), DENSE if tensors is None else tensors)
    return metadata.facts(path)


def adds_up(found: ModelFacts) -> bool:
    """Every byte is counted once."""
    layers = sum(layer.weights for layer in found.layers)
    rest = found.input_bytes + found.other_bytes + found.idle_bytes + (0 if found.tied else found.output_bytes)
    return layers + rest == found.weight_bytes == sum(found.tensor_types.values())


def test_a_tiny_model(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path)
    found = metadata.facts(path)
    assert adds_up(found) and not found.tied
    assert (found.format, found.architecture, found.name, found.quantization) == ("gguf", "llama", "tiny", "F32")
    assert (found.context, found.embedding, found.heads, found.feed_forward) == (2048, 64, 4, 128)
    assert found.vocabulary == 512 and found.template == tiny_model.CHATML
    assert found.input_bytes == found.output_bytes == 512 * 64 * 4
    assert [(layer.key, layer.value, layer.window) for layer in found.layers] == [(64, 64, 0)] * 2
    assert found.parameters * 4 == found.weight_bytes < found.file_bytes == path.stat().st_size
    assert not (found.fim or found.pooling or found.vision or found.experts)


def assert_counts_as_gguf_does(path: Path) -> ModelFacts:
    found, theirs = metadata.facts(path), gguf.GGUFReader(path)
    assert adds_up(found)
    assert found.weight_bytes == sum(int(tensor.n_bytes) for tensor in theirs.tensors)
    assert found.parameters == sum(prod(tensor.shape.tolist()) for tensor in theirs.tensors)
    return found


@pytest.mark.model
def test_smollm2() -> None:
    found = assert_counts_as_gguf_does(models.path("smollm2"))
    assert found.quantization == "Q4_1" and found.parameters == 134_515_008 and found.context == 8192
    assert found.tied and found.output_bytes == found.input_bytes == 49152 * 576 * 34 // 32
    assert [(layer.key, layer.value) for layer in found.layers] == [(192, 192)] * 30
    assert found.template is not None and not found.fim


@pytest.mark.model
@pytest.mark.slow
def test_the_larger_test_models() -> None:
    small, large = (assert_counts_as_gguf_does(models.path(name)) for name in ("qwen-0.5b", "qwen-1.5b"))
    assert small.fim and large.fim and small.quantization == large.quantization == "Q4_K_M"
    assert len(small.layers) == 24 and len(large.layers) == 28 and not large.tied
    gemma = assert_counts_as_gguf_does(models.path("gemma-270m"))
    assert [layer.window for layer in gemma.layers] == ([512] * 5 + [0]) * 3 and gemma.tied


def test_an_output_that_is_the_embedding_is_not_counted_twice(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert adds_up(found) and found.tied and found.output_bytes == found.input_bytes == 64 * 100 * 34 // 32
    untied = made(tmp_path, tensors=DENSE | {"output.weight": ((64, 100), "F16")})
    assert adds_up(untied) and not untied.tied and untied.output_bytes == 64 * 100 * 2


def test_routed_experts_are_told_from_the_rest(tmp_path: Path) -> None:
    sizes = {"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_feed_forward_length": 32}
    experts = {
        "blk.0.ffn_gate_exps.weight": ((64, 32, 8), "Q4_0"),
        "blk.0.ffn_down_exps.weight": ((32, 64, 8), "Q4_0"),
        "blk.0.ffn_up_exps.bias": ((32, 8), "F32"),
        "blk.0.ffn_gate_up_exps.weight": ((64, 32), "F32"),
    }
    others = {
        "blk.0.ffn_gate_inp.weight": ((64, 8), "F32"),
        "blk.0.ffn_up_shexp.weight": ((64, 32), "F32"),
        "blk.0.exp_probs_b.bias": ((8,), "F32"),
    }
    found = made(tmp_path, sizes, DENSE | experts | others)
    assert adds_up(found) and (found.experts, found.experts_used, found.feed_forward) == (8, 2, 32)
    assert found.layers[0].experts == 2 * 64 * 32 * 8 * 18 // 32 + 32 * 8 * 4 + 64 * 32 * 4
    old = {f"blk.0.ffn_{part}.{number}.weight": ((64, 32), "F16") for part in ("up", "down") for number in range(4)}
    assert made(tmp_path, sizes, DENSE | old).layers[0].experts == 8 * 64 * 32 * 2


def test_what_decoding_never_reads_is_idle(tmp_path: Path) -> None:
    more = {"blk.1.nextn.eh_proj.weight": ((64, 64), "F32"), "v.blk.0.attn_q.weight": ((64, 8), "F32")}
    found = made(tmp_path, {"llama.block_count": 2, "llama.nextn_predict_layers": 1}, DENSE | more)
    assert adds_up(found) and len(found.layers) == 1 and found.vision
    assert found.idle_bytes == 64 * 64 * 4 + 64 * 8 * 4


def test_an_image_encoder_of_its_own_file(tmp_path: Path) -> None:
    encoder = {"v.blk.0.attn_q.weight": ((64, 8), "F32"), "mm.0.weight": ((64, 8), "F32")}
    found = metadata.facts(gguf_file.write(tmp_path / "mmproj.gguf", {"general.architecture": "clip"}, encoder))
    assert adds_up(found) and found.vision and found.layers == () and found.other_bytes == 4096


def test_embeddings_by_layer_are_read_by_row(tmp_path: Path) -> None:
    found = made(tmp_path, tensors=DENSE | {"per_layer_token_embd.weight": ((32, 100), "F16")})
    assert adds_up(found) and found.input_bytes == found.output_bytes + 32 * 100 * 2


@pytest.mark.parametrize(
    ("settings", "quantization"),
    [
        ({"general.file_type": 15}, "Q4_K_M"),
        ({"general.file_type": 38}, "MXFP4"),
        ({"general.file_type": 1024}, "Q8_0"),
        ({}, "Q8_0"),
    ],
)
def test_the_quantization_is_as_stated_or_as_most_of_it(
    tmp_path: Path, settings: dict[str, Any], quantization: str
) -> None:
    assert made(tmp_path, settings).quantization == quantization


@pytest.mark.parametrize(
    ("settings", "fim"),
    [
        ({"tokenizer.ggml.tokens": ["a", "<|fim_prefix|>", "<|fim_suffix|>"]}, True),
        ({"tokenizer.ggml.tokens": ["\u2581<PRE>", "\u2581<SUF>"]}, True),
        ({"tokenizer.ggml.tokens": ["<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>"]}, True),
        ({"tokenizer.ggml.tokens": ["<|fim_prefix|>", "<fim_suffix>"]}, False),
        ({"tokenizer.ggml.fim_pre_token_id": 1, "tokenizer.ggml.fim_suf_token_id": 2}, True),
        ({"tokenizer.ggml.prefix_token_id": 1}, False),
        ({}, False),
    ],
)
def test_filling_in_the_middle_by_key_or_by_spelling(tmp_path: Path, settings: dict[str, Any], fim: bool) -> None:
    assert made(tmp_path, settings).fim is fim


def test_models_for_embeddings(tmp_path: Path) -> None:
    assert made(tmp_path, {"llama.pooling_type": 3}).pooling
    assert not made(tmp_path, {"llama.pooling_type": 0}).pooling
    bert = {"general.architecture": "bert", "bert.block_count": 1, "bert.pooling_type": 1}
    found = metadata.facts(gguf_file.write(tmp_path / "b.gguf", bert, DENSE))
    assert adds_up(found) and found.pooling and not found.tied and found.output_bytes == 0


def test_the_vocabulary_is_counted_where_it_is_stated(tmp_path: Path) -> None:
    assert made(tmp_path).vocabulary == 100
    assert made(tmp_path, {"llama.vocab_size": 90}).vocabulary == 90
    assert made(tmp_path, {"tokenizer.ggml.tokens": ["a", "b"]}).vocabulary == 2


def test_settings_of_a_wrong_type_count_as_absent(tmp_path: Path) -> None:
    wrong = {"llama.context_length": "many", "llama.expert_count": 1.5, "tokenizer.chat_template": 3}
    found = made(tmp_path, wrong | {"general.name": 7, "general.file_type": "x", "llama.feed_forward_length": True})
    assert (found.context, found.experts, found.template, found.name) == (0, 0, None, "")
    assert found.feed_forward == 0 and found.quantization == "Q8_0"


def test_a_folder_with_one_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model in the folder"):
        metadata.facts(tmp_path)
    (tmp_path / "mmproj-m.gguf").write_bytes(b"GGUF")
    found = made(tmp_path)
    assert metadata.facts(tmp_path) == found
    gguf_file.write(tmp_path / "n.gguf", LLAMA, DENSE)
    with pytest.raises(NotAModel, match="2 models"):
        metadata.facts(tmp_path)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        metadata.facts(tmp_path / "absent.gguf")
    with pytest.raises(NotAModel, match="architecture"):
        metadata.facts(gguf_file.write(tmp_path / "m.gguf", {}, DENSE))
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(EdgeLLMError, match="Check the path"):
            metadata.facts(tmp_path / name)
