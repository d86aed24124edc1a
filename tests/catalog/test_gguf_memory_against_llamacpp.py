"""What layers keep of a sequence, counted by us from the header and told by llama.cpp itself for the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgellm.catalog import metadata
from edgellm.catalog.model_facts import ModelFacts
from tests.doubles import llamacpp_memory
from tests.doubles.llamacpp_memory import BATCH, CELLS, SEQUENCES

MIB = 2**20
SIZES = {
    "block_count": 4,
    "context_length": 2048,
    "vocab_size": 64,
    "embedding_length": 256,
    "feed_forward_length": 256,
    "attention.head_count": 8,
    "attention.head_count_kv": 4,
    "attention.layer_norm_epsilon": 1e-5,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
HEADS = {"attention.key_length": 64, "attention.value_length": 64, "rope.dimension_count": 64}
SOME = {"attention.head_count_kv": [0, 4, 0, 4]}
MAMBA = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 64, "ssm.time_step_rank": 16}
MAMBA2 = MAMBA | {"ssm.group_count": 2, "ssm.time_step_rank": 8}
EXPERTS = {"expert_gating_func": 2, "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 64}
LATENT = {
    "attention.head_count_kv": 1,
    "attention.key_length": 96,
    "attention.value_length": 64,
    "attention.key_length_mla": 64,
    "attention.value_length_mla": 32,
    "attention.kv_lora_rank": 64,
    "attention.q_lora_rank": 64,
    "rope.dimension_count": 32,
    "leading_dense_block_count": 1,
    "expert_shared_count": 1,
}
NONE = {"attention.head_count": 0, "attention.head_count_kv": 0, "feed_forward_length": 0}
WINDOW = {"attention.sliding_window": 32}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("mistral3", HEADS),
    ("qwen3", HEADS),
    ("gemma2", HEADS | WINDOW),
    ("gemma3", HEADS | WINDOW | {"block_count": 7}),
    ("gemma3", HEADS),
    ("gemma3n", HEADS | WINDOW | {"block_count": 23}),
    (
        "gemma4",
        HEADS
        | WINDOW
        | {"attention.sliding_window_pattern": [True, False] * 3, "attention.shared_kv_layers": 2, "block_count": 6}
        | {"attention.key_length_swa": 32, "attention.value_length_swa": 32, "rope.dimension_count_swa": 32}
        | {"embedding_length_per_layer_input": 0},
    ),
    ("gpt-oss", HEADS | WINDOW | EXPERTS),
    ("cohere2", HEADS | WINDOW | {"logit_scale": 0.5, "block_count": 5}),
    ("olmo2", HEADS | WINDOW),
    ("smallthinker", HEADS | WINDOW | EXPERTS),
    ("exaone4", HEADS | WINDOW),
    ("phi3", HEADS | WINDOW),
    ("llama4", HEADS | EXPERTS | {"interleave_moe_layer_step": 1}),
    ("deepseek2", LATENT | EXPERTS),
    ("deepseek2", {"attention.head_count_kv": 8, "attention.key_length": 64, "attention.value_length": 32}
     | {"attention.kv_lora_rank": 64, "attention.q_lora_rank": 64, "rope.dimension_count": 32}
     | {"leading_dense_block_count": 1, "expert_shared_count": 1} | EXPERTS),
    ("deepseek32", LATENT | EXPERTS | {"attention.indexer.head_count": 2, "attention.indexer.key_length": 64}
     | {"attention.indexer.top_k": 16}),
    ("mamba", NONE | MAMBA),
    ("mamba2", NONE | MAMBA2),
    ("rwkv7", NONE | {"wkv.head_size": 64, "attention.decay_lora_rank": 32, "attention.iclr_lora_rank": 32}
     | {"attention.value_residual_mix_lora_rank": 32, "attention.gate_lora_rank": 32, "feed_forward_length": 256}),
    ("jamba", SOME | MAMBA),
    ("granitehybrid", SOME | MAMBA2),
    ("plamo2", SOME | MAMBA2 | HEADS | {"ssm.group_count": 0}),
    ("falcon-h1", HEADS | MAMBA2),
    ("nemotron_h", MAMBA2 | {"attention.head_count_kv": [0, 4, 0, 0], "feed_forward_length": [0, 0, 256, 0]}),
    ("lfm2", SOME | {"shortconv.l_cache": 3}),
    ("qwen3next", HEADS | EXPERTS | MAMBA2 | {"expert_shared_feed_forward_length": 64}),
    ("qwen35", HEADS | MAMBA2 | {"rope.dimension_sections": [8, 12, 12, 0]}),
    ("kimi-linear", LATENT | EXPERTS | {"attention.head_count_kv": [0, 1, 0, 1], "kda.head_dim": 32}
     | {"ssm.conv_kernel": 4}),
    ("minimax-01", HEADS | EXPERTS | {"block_count": 8, "residual_scale": 1.0}),
    ("glm4moe", HEADS | EXPERTS | {"nextn_predict_layers": 1, "leading_dense_block_count": 1}
     | {"expert_shared_count": 1}),
    ("nanbeige", {"num_loops": 2}),
    ("lfm2", SOME | WINDOW | {"shortconv.l_cache": 3}),
    ("glm-dsa", LATENT | EXPERTS | {"attention.indexer.head_count": 2, "attention.indexer.key_length": 64}
     | {"attention.indexer.top_k": 16, "attention.indexer.types": [True, True, False, True], "context_length": 2**20}),
    ("minimax-m3", HEADS | EXPERTS | {"attention.indexer.head_count": 2, "attention.indexer.key_length": 64}
     | {"attention.indexer.top_k": 16, "attention.indexer.block_size": 16, "attention.indexer.local_blocks": 1}
     | {"leading_dense_block_count": 1, "expert_shared_count": 1}),
]  # fmt: skip


def counted(found: ModelFacts) -> tuple[dict[int, list[float]], float]:
    """Ours in the same words. Cells of a window: it for each sequence, one batch, in steps of 256."""
    kv: dict[int, list[float]] = {}
    for layer in found.layers:
        if layer.key:
            window = -(-min(CELLS, layer.window * SEQUENCES + BATCH) // 256) * 256
            cells = window if layer.window else CELLS
            sums = kv.setdefault(cells, [0.0, 0.0])
            sums[0] += 2 * cells * layer.key / MIB
            sums[1] += 2 * cells * layer.value / MIB
    return kv, sum(4 * SEQUENCES * layer.state for layer in found.layers) / MIB


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "changes"), CASES, ids=[f"{n}-{name}" for n, (name, _) in enumerate(CASES)])
def test_we_count_what_llamacpp_allocates(tmp_path: Path, architecture: str, changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {f"{architecture}.{name}": value for name, value in (SIZES | changes).items()}
    settings |= {"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
    kv, state = llamacpp_memory.ask(settings, tmp_path / "m.gguf")
    our_kv, our_state = counted(metadata.facts(tmp_path / "m.gguf"))
    assert kv or state, "llama.cpp told nothing"
    assert our_state == pytest.approx(state, abs=0.02)
    assert our_kv.keys() == kv.keys()
    for cells, sums in kv.items():
        assert our_kv[cells] == pytest.approx(sums, abs=0.02)
