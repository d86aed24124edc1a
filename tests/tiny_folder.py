"""A random-weights llama model of under 1 MB as a folder in MLX's format: settings, weights and tokenizer."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.tiny_model import BOS, CHATML, CONTROL_TOKENS, EOS

_WIDTH, _HEADS, _KV_HEADS, _FORWARD, _LAYERS, _VOCABULARY = 64, 4, 2, 128, 2, 384


def build(directory: Path, *, seed: int = 0, width: int = _VOCABULARY) -> Path:
    """The folder, below `directory`; `width` of the logits may be more than there are tokens."""
    folder = directory / f"tiny-{seed}-{width}"
    folder.mkdir(parents=True, exist_ok=True)
    size = _tokenizer(folder)
    assert size <= width
    (folder / "config.json").write_text(json.dumps(_config(width)))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"bos_token": BOS, "eos_token": EOS, "chat_template": CHATML, "tokenizer_class": "TokenizersBackend"}
        )
    )
    _write(folder / "model.safetensors", _weights(np.random.default_rng(seed), width))
    return folder


def _config(width: int) -> dict[str, object]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": _WIDTH,
        "num_hidden_layers": _LAYERS,
        "intermediate_size": _FORWARD,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": width,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "float32",
    }


def _tokenizer(folder: Path) -> int:
    """Every byte, a few merges, and the control tokens first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the capital of France is Paris, the capital of the world"] * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def _weights(random: np.random.Generator, width: int) -> dict[str, NDArray[np.float32]]:
    head = _WIDTH // _HEADS

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return random.normal(0, 2 / np.sqrt(columns), (rows, columns)).astype(np.float32)

    found = {
        "model.embed_tokens.weight": random.normal(0, 1, (width, _WIDTH)).astype(np.float32),
        "model.norm.weight": np.ones(_WIDTH, np.float32),
        "lm_head.weight": matrix(width, _WIDTH),
    }
    for layer in range(_LAYERS):
        name = f"model.layers.{layer}"
        found |= {
            f"{name}.input_layernorm.weight": np.ones(_WIDTH, np.float32),
            f"{name}.post_attention_layernorm.weight": np.ones(_WIDTH, np.float32),
            f"{name}.self_attn.q_proj.weight": matrix(_WIDTH, _WIDTH),
            f"{name}.self_attn.k_proj.weight": matrix(_KV_HEADS * head, _WIDTH),
            f"{name}.self_attn.v_proj.weight": matrix(_KV_HEADS * head, _WIDTH),
            f"{name}.self_attn.o_proj.weight": matrix(_WIDTH, _WIDTH),
            f"{name}.mlp.gate_proj.weight": matrix(_FORWARD, _WIDTH),
            f"{name}.mlp.up_proj.weight": matrix(_FORWARD, _WIDTH),
            f"{name}.mlp.down_proj.weight": matrix(_WIDTH, _FORWARD),
        }
    return found


def _write(path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    header: dict[str, object] = {}
    at = 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for array in tensors.values():
            file.write(array.tobytes())
