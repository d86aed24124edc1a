"""GGUF headers of well-known models, made of their makers' published settings, in sparse files without any weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a model's published config.json says; `source` is where it was published.

    `full` tells of each layer whether it attends; layers that do not are recurrent. `settings` are further keys of the
    header, without the architecture.
    """

    architecture: str
    source: str
    layers: int
    width: int
    heads: int
    groups: int
    head: int
    feed_forward: int
    vocabulary: int
    context: int
    parameters: float
    experts: int = 0
    used: int = 0
    shared: int = 0
    tied: bool = False
    recurrent: tuple[int, ...] = ()
    matrices: str = "Q4_K"
    experts_in: str = "Q4_K"
    output: str = "Q6_K"
    settings: dict[str, Any] = field(default_factory=dict)


_HUB = "https://huggingface.co"
MODELS = {
    "Llama 3.3 70B": Published(
        architecture="llama", source=f"{_HUB}/meta-llama/Llama-3.3-70B-Instruct/blob/main/config.json",
        layers=80, width=8192, heads=64, groups=8, head=128, feed_forward=28672, vocabulary=128256, context=131072,
        parameters=70.55e9,
    ),
    "Qwen3 32B": Published(
        architecture="qwen3", source=f"{_HUB}/Qwen/Qwen3-32B/blob/main/config.json",
        layers=64, width=5120, heads=64, groups=8, head=128, feed_forward=25600, vocabulary=151936, context=40960,
        parameters=32.76e9,
    ),
    "Phi-4": Published(
        architecture="phi3", source=f"{_HUB}/microsoft/phi-4/blob/main/config.json",
        layers=40, width=5120, heads=40, groups=10, head=128, feed_forward=17920, vocabulary=100352, context=16384,
        parameters=14.66e9,
    ),
    "Gemma 2 9B": Published(
        architecture="gemma2", source=f"{_HUB}/google/gemma-2-9b-it/blob/main/config.json",
        layers=42, width=3584, heads=16, groups=8, head=256, feed_forward=14336, vocabulary=256000, context=8192,
        parameters=9.24e9, tied=True, settings={"attention.sliding_window": 4096},
    ),
    "Gemma 3 27B": Published(
        architecture="gemma3", source=f"{_HUB}/google/gemma-3-27b-it/blob/main/config.json",
        layers=62, width=5376, heads=32, groups=16, head=128, feed_forward=21504, vocabulary=262144, context=131072,
        parameters=27.0e9, tied=True, settings={"attention.sliding_window": 1024},
    ),
    "Mixtral 8x7B": Published(
        architecture="llama", source=f"{_HUB}/mistralai/Mixtral-8x7B-Instruct-v0.1/blob/main/config.json",
        layers=32, width=4096, heads=32, groups=8, head=128, feed_forward=14336, vocabulary=32000, context=32768,
        parameters=46.7e9, experts=8, used=2,
    ),
    "Qwen3 30B-A3B": Published(
        architecture="qwen3moe", source=f"{_HUB}/Qwen/Qwen3-30B-A3B/blob/main/config.json",
        layers=48, width=2048, heads=32, groups=4, head=128, feed_forward=768, vocabulary=151936, context=40960,
        parameters=30.53e9, experts=128, used=8,
    ),
    "gpt-oss 20B": Published(
        architecture="gpt-oss", source=f"{_HUB}/openai/gpt-oss-20b/blob/main/config.json",
        layers=24, width=2880, heads=64, groups=8, head=64, feed_forward=2880, vocabulary=201088, context=131072,
        parameters=20.9e9, experts=32, used=4, matrices="Q8_0", experts_in="MXFP4", output="Q8_0",
        settings={"attention.sliding_window": 128},
    ),
    "Qwen3-Next 80B-A3B": Published(
        architecture="qwen3next", source=f"{_HUB}/Qwen/Qwen3-Next-80B-A3B-Instruct/blob/main/config.json",
        layers=48, width=2048, heads=16, groups=2, head=256, feed_forward=512, vocabulary=151936, context=262144,
        parameters=79.7e9, experts=512, used=10, shared=512,
        recurrent=tuple(index for index in range(48) if (index + 1) % 4),
        settings={
            "ssm.conv_kernel": 4, "ssm.inner_size": 4096, "ssm.state_size": 128, "ssm.group_count": 16,
            "ssm.time_step_rank": 32, "full_attention_interval": 4,
        },
    ),
    "LFM2 1.2B": Published(
        architecture="lfm2", source=f"{_HUB}/LiquidAI/LFM2-1.2B/blob/main/config.json",
        layers=16, width=2048, heads=32, groups=8, head=64, feed_forward=8192, vocabulary=65536, context=128000,
        parameters=1.17e9, tied=True, recurrent=(0, 1, 3, 4, 6, 7, 9, 11, 13, 15),
        settings={"shortconv.l_cache": 3},
    ),
}  # fmt: skip
_BLOCKS = {"F32": (1, 4), "Q8_0": (32, 34), "Q4_K": (256, 144), "Q6_K": (256, 210), "MXFP4": (32, 17)}


def write(name: str, folder: Path) -> Path:
    """The header of one of MODELS as a GGUF file as long as the real one, which takes no room on the disk."""
    import gguf

    model = MODELS[name]
    path = folder / f"{name.replace(' ', '-')}.gguf"
    writer = gguf.GGUFWriter(path, model.architecture)
    writer.add_name(name)
    for key, value in _settings(model).items():
        if isinstance(value, list):
            writer.add_array(f"{model.architecture}.{key}", value)
        else:
            writer.add_uint32(f"{model.architecture}.{key}", value)
    total = 0
    for tensor, shape, kind in _tensors(model):
        block, size = _BLOCKS[kind]
        assert shape[-1] % block == 0, (tensor, shape, kind)
        count = prod(shape) // block * size
        writer.add_tensor_info(
            tensor, list(shape), np.dtype(np.float16), count, raw_dtype=gguf.GGMLQuantizationType[kind]
        )
        total += -(-count // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(-(-path.stat().st_size // 32) * 32 + total)
    return path


def _settings(model: Published) -> dict[str, Any]:
    groups = [0 if index in model.recurrent else model.groups for index in range(model.layers)]
    found: dict[str, Any] = {
        "block_count": model.layers,
        "embedding_length": model.width,
        "context_length": model.context,
        "feed_forward_length": model.feed_forward,
        "attention.head_count": model.heads,
        "attention.head_count_kv": groups if model.architecture == "lfm2" else model.groups,
        "attention.key_length": model.head,
        "attention.value_length": model.head,
        "vocab_size": model.vocabulary,
    }
    if model.experts:
        found |= {"expert_count": model.experts, "expert_used_count": model.used}
        found["expert_feed_forward_length"] = model.feed_forward
    return found | model.settings


def _tensors(model: Published) -> list[tuple[str, tuple[int, ...], str]]:
    width = model.width
    table = (model.vocabulary, width)
    found: list[tuple[str, tuple[int, ...], str]] = [
        ("token_embd.weight", table, model.output if model.tied else model.matrices)
    ]
    if not model.tied:
        found.append(("output.weight", table, model.output))
    for index in range(model.layers):
        parts = _recurrent(model) if index in model.recurrent else _attention(model)
        parts |= _feed_forward(model)
        found += [(f"blk.{index}.{name}.weight", shape, kind) for name, (shape, kind) in parts.items()]
        found.append((f"blk.{index}.attn_norm.weight", (width,), "F32"))
    return found


Parts = dict[str, tuple[tuple[int, ...], str]]


def _attention(model: Published) -> Parts:
    queries, keys, kind = model.heads * model.head, model.groups * model.head, model.matrices
    twice = 2 if model.architecture == "qwen3next" else 1  # it gates what attention gives
    return {
        "attn_q": ((queries * twice, model.width), kind),
        "attn_k": ((keys, model.width), kind),
        "attn_v": ((keys, model.width), kind),
        "attn_output": ((model.width, queries), kind),
    }


def _recurrent(model: Published) -> Parts:
    width, kind = model.width, model.matrices
    if model.architecture == "lfm2":
        return {"shortconv.in_proj": ((3 * width, width), kind), "shortconv.out_proj": ((width, width), kind)}
    inner, keys = model.settings["ssm.inner_size"], 2 * model.settings["ssm.group_count"] * 128
    return {
        "attn_qkv": ((inner + keys, width), kind),
        "attn_gate": ((inner, width), kind),
        "ssm_ba": ((64, width), kind),
        "ssm_out": ((width, inner), kind),
    }


def _feed_forward(model: Published) -> Parts:
    width, wide = model.width, model.feed_forward
    if not model.experts:
        both = {"ffn_gate": ((wide, width), model.matrices), "ffn_up": ((wide, width), model.matrices)}
        return both | {"ffn_down": ((width, wide), model.matrices)}
    many, kind = model.experts, model.experts_in
    parts: Parts = {
        "ffn_gate_inp": ((many, width), "F32"),
        "ffn_gate_exps": ((many, wide, width), kind),
        "ffn_up_exps": ((many, wide, width), kind),
        "ffn_down_exps": ((many, width, wide), kind),
    }
    if model.shared:
        parts |= {
            "ffn_gate_shexp": ((model.shared, width), model.matrices),
            "ffn_up_shexp": ((model.shared, width), model.matrices),
            "ffn_down_shexp": ((width, model.shared), model.matrices),
        }
    return parts


if __name__ == "__main__":
    import sys

    for each in MODELS:
        print(write(each, Path(sys.argv[1])))
