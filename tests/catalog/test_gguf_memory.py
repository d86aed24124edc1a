"""What layers keep of a sequence, for every family, against numbers worked out by hand from llama.cpp's source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgellm.catalog.byte_source import FileBytes
from edgellm.catalog.gguf import read_header
from edgellm.catalog.gguf_memory import layers
from edgellm.catalog.gguf_sizes import Sizes
from edgellm.catalog.model_facts import LayerFacts
from edgellm.errors import NotAModel
from tests.doubles import gguf_file


@pytest.fixture
def memory(tmp_path: Path) -> Any:
    """The layers of an architecture with these settings."""

    def of(architecture: str, **settings: Any) -> list[LayerFacts]:
        named = {f"{architecture}.{name.replace('__', '.')}": value for name, value in settings.items()}
        path = gguf_file.write(
            tmp_path / "m.gguf", {"general.architecture": architecture} | named, {"a": ((32,), "F32")}
        )
        with FileBytes(path) as source:
            return layers(Sizes(read_header(source)))

    return of


def heads(count: int, groups: Any, **more: Any) -> dict[str, Any]:
    return {"attention__head_count": count, "attention__head_count_kv": groups} | more


def test_dense_with_grouped_heads(memory: Any) -> None:
    # Llama 3.1 70B: 80 layers, 64 heads of 128, 8 groups
    found = memory("llama", block_count=80, embedding_length=8192, **heads(64, 8))
    assert found == [LayerFacts(key=1024, value=1024)] * 80


def test_without_groups_every_head_has_its_own(memory: Any) -> None:
    found = memory("gpt2", block_count=2, embedding_length=768, attention__head_count=12)
    assert found == [LayerFacts(key=768, value=768)] * 2


def test_head_sizes_of_their_own(memory: Any) -> None:
    sizes = heads(16, 8, attention__key_length=192, attention__value_length=128)
    assert memory("mimo2", block_count=1, embedding_length=64, **sizes)[0] == LayerFacts(key=1536, value=1024)


def test_heads_that_differ_by_layer(memory: Any) -> None:
    found = memory("deci", block_count=3, embedding_length=512, **heads(8, [8, 0, 2]))
    assert [layer.key for layer in found] == [512, 0, 128]


GEMMA3 = heads(4, 1, attention__key_length=256, attention__value_length=256)


@pytest.mark.parametrize(
    ("architecture", "settings", "windows"),
    [
        ("gemma2", {}, [4096, 0, 4096, 0, 4096, 0, 4096, 0]),
        ("gemma2", {"attention__sliding_window": 1024}, [1024, 0] * 4),
        ("gemma3", {"attention__sliding_window": 512}, [512] * 5 + [0] + [512] * 2),
        ("gemma3", {}, [0] * 8),
        ("gemma3", {"attention__sliding_window": 512, "attention__sliding_window_pattern": 4}, [512, 512, 512, 0] * 2),
        ("gpt-oss", {"attention__sliding_window": 128}, [128, 0] * 4),
        ("llama4", {}, [8192, 8192, 8192, 0] * 2),
        ("llama4", {"attention__sliding_window": 0}, [0] * 8),
        ("cohere2", {"attention__sliding_window": 4096}, [4096, 4096, 4096, 0] * 2),
        ("cohere2moe", {"attention__sliding_window": 4096}, [0, 4096, 4096, 4096] * 2),
        ("smallthinker", {"attention__sliding_window": 1}, [0, 4096, 4096, 4096] * 2),
        ("smallthinker", {}, [0] * 8),
        ("exaone4", {"attention__sliding_window": 4096}, [0] * 8),
        ("phi3", {"attention__sliding_window": 2047}, [0] * 8),
        ("llama", {"attention__sliding_window": 4096}, [0] * 8),
        (
            "gemma4",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True, True, False, True] * 2},
            [512, 512, 0, 512] * 2,
        ),
    ],
)
def test_sliding_windows(memory: Any, architecture: str, settings: dict[str, Any], windows: list[int]) -> None:
    found = memory(architecture, block_count=8, embedding_length=640, **GEMMA3, **settings)
    assert [layer.window for layer in found] == windows
    assert {(layer.key, layer.value, layer.state) for layer in found} == {(256, 256, 0)}


def test_exaone4_slides_in_its_largest_size_alone(memory: Any) -> None:
    found = memory("exaone4", block_count=64, embedding_length=64, **heads(4, 2))
    assert [layer.window for layer in found] == [4096, 4096, 4096, 0] * 16


def test_windows_with_heads_of_another_size_and_shared_layers(memory: Any) -> None:
    sizes = heads(8, 2, attention__key_length=512, attention__value_length=512)
    sizes |= {"attention__key_length_swa": 256, "attention__value_length_swa": 128}
    pattern = {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True, False] * 3}
    found = memory("gemma4", block_count=6, embedding_length=64, attention__shared_kv_layers=2, **sizes, **pattern)
    sliding, full = LayerFacts(key=512, value=256, window=512), LayerFacts(key=1024, value=1024)
    assert found == [sliding, full, sliding, full, LayerFacts(), LayerFacts()]


def test_latent_attention_keeps_one_vector(memory: Any) -> None:
    # DeepSeek V3 as converted today: one group of 512 + 64, and the sizes that heads have without compression
    sizes = heads(128, 1, attention__key_length=576, attention__value_length=512)
    new = {"attention__key_length_mla": 192, "attention__value_length_mla": 128, "attention__kv_lora_rank": 512}
    found = memory("deepseek2", block_count=61, embedding_length=7168, **sizes, **new)
    assert found == [LayerFacts(key=576, value=0)] * 61


def test_latent_attention_of_old_files_is_kept_head_by_head(memory: Any) -> None:
    sizes = heads(16, 16, attention__key_length=192, attention__value_length=128)
    found = memory("deepseek2", block_count=27, embedding_length=2048, **sizes, attention__kv_lora_rank=512)
    assert found == [LayerFacts(key=3072, value=2048)] * 27


def test_keys_of_a_sparse_indexer(memory: Any) -> None:
    sizes = heads(128, 1, attention__key_length=576, attention__value_length=512)
    new = {"attention__key_length_mla": 192, "attention__value_length_mla": 128, "attention__indexer__key_length": 128}
    found = memory("deepseek32", block_count=3, nextn_predict_layers=1, embedding_length=7168, **sizes, **new)
    assert found == [LayerFacts(key=704, value=0)] * 2


def test_mamba(memory: Any) -> None:
    # mamba-130m: d_inner 1536, d_state 16, d_conv 4: 3 * 1536 of the convolution, 16 * 1536 of the state
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 1536, "ssm__state_size": 16, "ssm__time_step_rank": 48}
    found = memory("mamba", block_count=24, embedding_length=768, **heads(0, 0), **ssm)
    assert found == [LayerFacts(state=3 * 1536 + 16 * 1536)] * 24


def test_mamba2_has_groups_in_its_convolution(memory: Any) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 5120, "ssm__state_size": 128, "ssm__group_count": 1}
    found = memory("mamba2", block_count=1, embedding_length=2560, **heads(0, 0), **ssm)
    assert found == [LayerFacts(state=3 * (5120 + 2 * 128) + 128 * 5120)]


@pytest.mark.parametrize("architecture", ["jamba", "granitehybrid", "plamo2"])
def test_layers_without_groups_are_recurrent(memory: Any, architecture: str) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 256, "ssm__state_size": 16}
    found = memory(architecture, block_count=3, embedding_length=128, **heads(4, [0, 2, 0]), **ssm)
    state = LayerFacts(state=3 * 256 + 16 * 256)
    assert found == [state, LayerFacts(key=64, value=64), state]


def test_falcon_h1_has_both_in_every_layer(memory: Any) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 256, "ssm__state_size": 16, "ssm__group_count": 1}
    found = memory("falcon-h1", block_count=2, embedding_length=128, **heads(4, 2), **ssm)
    assert found == [LayerFacts(key=64, value=64, state=3 * (256 + 32) + 4096)] * 2


def test_nemotron_h_has_one_kind_a_layer(memory: Any) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 256, "ssm__state_size": 16}
    found = memory(
        "nemotron_h", block_count=3, embedding_length=128, feed_forward_length=[0, 512, 0], **heads(4, [0, 0, 2]), **ssm
    )
    assert found == [LayerFacts(state=768 + 4096), LayerFacts(), LayerFacts(key=64, value=64)]


@pytest.mark.parametrize("architecture", ["qwen3next", "qwen35", "qwen35moe"])
def test_every_fourth_layer_sees_the_whole(memory: Any, architecture: str) -> None:
    # Qwen3-Next 80B: 32 value heads of 128, 16 key heads of 128: inner 4096, groups 16, state 128
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 4096, "ssm__state_size": 128, "ssm__group_count": 16}
    sizes = heads(16, 2, attention__key_length=256, attention__value_length=256)
    found = memory(architecture, block_count=8, embedding_length=2048, **sizes, **ssm)
    linear = LayerFacts(state=3 * (4096 + 2 * 16 * 128) + 128 * 4096)
    assert found == [linear, linear, linear, LayerFacts(key=512, value=512)] * 2


def test_a_list_says_which_layers_are_recurrent(memory: Any) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 64, "ssm__state_size": 8}
    listed = {"attention__recurrent_layers": [False, True]}
    found = memory("qwen3next", block_count=2, embedding_length=64, **heads(4, 2), **ssm, **listed)
    assert [layer.state > 0 for layer in found] == [False, True]


def test_lfm2_keeps_a_short_convolution(memory: Any) -> None:
    found = memory("lfm2", block_count=2, embedding_length=2048, shortconv__l_cache=3, **heads(32, [0, 8]))
    assert found == [LayerFacts(state=2 * 2048), LayerFacts(key=512, value=512)]


def test_rwkv(memory: Any) -> None:
    found = memory("rwkv7", block_count=1, embedding_length=2048, wkv__head_size=64, **heads(0, 0))
    assert found == [LayerFacts(state=2 * 2048 + 2048 * 64)]


def test_kimi_linear(memory: Any) -> None:
    sizes = heads(32, [0, 1], attention__key_length=576, attention__value_length=512)
    sizes |= {"attention__key_length_mla": 192, "attention__value_length_mla": 128, "kda__head_dim": 128}
    found = memory("kimi-linear", block_count=2, embedding_length=2304, ssm__conv_kernel=4, **sizes)
    assert found == [LayerFacts(state=3 * 3 * 4096 + 128 * 128 * 32), LayerFacts(key=576)]


@pytest.mark.parametrize("architecture", ["bert", "nomic-bert", "modern-bert"])
def test_encoders_keep_nothing(memory: Any, architecture: str) -> None:
    assert memory(architecture, block_count=2, embedding_length=384, attention__head_count=12) == [LayerFacts()] * 2


def test_layers_that_only_predict_ahead_do_not_count(memory: Any) -> None:
    found = memory("glm4moe", block_count=47, nextn_predict_layers=1, embedding_length=4096, **heads(96, 8))
    assert len(found) == 46


def test_layers_that_run_twice_keep_twice(memory: Any) -> None:
    assert len(memory("nanbeige", block_count=3, num_loops=2, embedding_length=64, **heads(4, 2))) == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"block_count": 2**31},
        {"block_count": 1, "embedding_length": 2**32 - 1, **heads(1, 2**32 - 1)},
        {"block_count": 513},
    ],
)
def test_absurd_sizes_are_refused(memory: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(NotAModel, match="damaged"):
        memory("llama", **settings)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "qwen3next", "rwkv7", "lfm2", "nemotron_h", "gemma3n"])
def test_a_file_that_states_nothing_is_no_crash(memory: Any, architecture: str) -> None:
    assert memory(architecture) == []
    assert len(memory(architecture, block_count=2)) == 2
