"""BERT models as GGUF: tiny ones of random weights, or real weights given; with or without a head that ranks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]
PAD, UNK, CLS, SEP, MASK = 0, 1, 2, 3, 4
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!-'"
_WORDS = ("the", "a", "of", "is", "cat", "dog", "mat", "sat", "on", "paris", "france", "capital", "what", "red")
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_OTHERS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
    "classifier.dense.weight": "cls.weight",
    "classifier.dense.bias": "cls.bias",
    "classifier.out_proj.weight": "cls.output.weight",
    "classifier.out_proj.bias": "cls.output.bias",
}


@dataclass(frozen=True)
class Shape:
    """`pooling` is a GGUF pooling type by name, "rank" with a head to it; "" writes none."""

    seed: int = 0
    layers: int = 2
    width: int = 48
    heads: int = 4
    feed_forward: int = 96
    context: int = 64
    pooling: str = "mean"
    head: bool = False
    name: str = "tiny-bert"


def build(directory: Path, **changes: object) -> Path:
    """The path of the tiny model in `directory`, written on first use; `changes` are fields of `Shape`."""
    shape = Shape(**changes)  # type: ignore[arg-type]
    key = blake2b(repr(sorted(asdict(shape).items())).encode(), digest_size=6).hexdigest()
    path = directory / f"{shape.name}-{key}.gguf"
    if not path.exists():
        half_written = path.with_suffix(f".{os.getpid()}.part")
        write(half_written, shape, tensors(shape), vocabulary(), (CLS, SEP, UNK, PAD, MASK))
        half_written.replace(path)
    return path


def vocabulary() -> list[str]:
    """Word pieces as BERT spells them."""
    pieces = (*MARKS, *_WORDS, *_LETTERS, *(f"##{letter}" for letter in _LETTERS))
    return list(dict.fromkeys(pieces))


def tensors(shape: Shape) -> dict[str, NDArray[np.float32]]:
    """Random weights by the names that safetensors files of BERT have."""
    random = np.random.default_rng(shape.seed)
    width, wide = shape.width, shape.feed_forward

    def normal(*size: int) -> NDArray[np.float32]:
        return (random.standard_normal(size) * (0.9 / np.sqrt(size[-1]))).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": normal(len(vocabulary()), width) * 4,
        "embeddings.token_type_embeddings.weight": normal(2, width),
        "embeddings.position_embeddings.weight": normal(shape.context, width),
        "embeddings.LayerNorm.weight": 1 + normal(width),
        "embeddings.LayerNorm.bias": normal(width),
    }
    sizes = dict.fromkeys(_LAYER, (width, width)) | {"intermediate.dense": (wide, width), "output.dense": (width, wide)}
    for layer in range(shape.layers):
        for name, size in sizes.items():
            norm = name.endswith("LayerNorm")
            found[f"encoder.layer.{layer}.{name}.weight"] = 1 + normal(width) if norm else normal(*size)
            found[f"encoder.layer.{layer}.{name}.bias"] = normal(size[0])
    if shape.head:
        found["classifier.dense.weight"], found["classifier.dense.bias"] = normal(width, width), normal(width)
        found["classifier.out_proj.weight"], found["classifier.out_proj.bias"] = normal(1, width) * 4, normal(1)
    return found


def write(path: Path, shape: Shape, weights: Tensors, tokens: list[str], marks: tuple[int, ...]) -> None:
    """`weights` as a GGUF file; `marks` are the ids of CLS, SEP, UNK, PAD and MASK among `tokens`."""
    import gguf

    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(shape.name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_token_type_count(2)
    if shape.pooling:
        writer.add_pooling_type(gguf.PoolingType[shape.pooling.upper()])
    _write_tokens(writer, tokens, marks)
    for name, tensor in weights.items():
        if (known := _name(name)) is not None:
            kept = np.float16 if shape.width > 100 and tensor.ndim == 2 and known.startswith("blk.") else np.float32
            writer.add_tensor(known, tensor.astype(kept))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokens(writer: object, tokens: list[str], marks: tuple[int, ...]) -> None:
    import gguf

    assert isinstance(writer, gguf.GGUFWriter)
    cls, sep, unk, pad, mask = marks
    spelled = [
        token if index in marks else token[2:] if token.startswith("##") else f"\u2581{token}"
        for index, token in enumerate(tokens)
    ]
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(spelled)
    writer.add_token_types([control if index in marks else normal for index in range(len(tokens))])
    writer.add_bos_token_id(cls)
    writer.add_eos_token_id(sep)
    writer.add_sep_token_id(sep)
    writer.add_unk_token_id(unk)
    writer.add_pad_token_id(pad)
    writer.add_mask_token_id(mask)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_sep_token(False)


def _name(name: str) -> str | None:
    """The GGUF name of a tensor; None for one that embeddings do not need."""
    if name in _OTHERS:
        return _OTHERS[name]
    _, _, rest = name.partition("encoder.layer.")
    layer, _, part = rest.partition(".")
    base, _, kind = part.rpartition(".")
    return f"blk.{layer}.{_LAYER[base]}.{kind}" if base in _LAYER else None


def hidden(weights: Tensors, tokens: list[int], heads: int) -> NDArray[np.float64]:
    """What BERT makes of `tokens`, in numpy and double precision; shape (tokens, width)."""
    w = {
        name: tensor.astype(np.float64) for name, tensor in weights.items() if "pooler" not in name and tensor.size > 1
    }
    places = w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = w["embeddings.word_embeddings.weight"][tokens] + places + w["embeddings.token_type_embeddings.weight"][0]
    x = _norm(x, w, "embeddings.LayerNorm")
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in w:
        at = f"encoder.layer.{layer}."
        q, k, v = (_split(_linear(x, w, f"{at}attention.self.{name}"), heads) for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        share = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (share / share.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = _norm(x + _linear(mixed, w, f"{at}attention.output.dense"), w, f"{at}attention.output.LayerNorm")
        wide = _linear(x, w, f"{at}intermediate.dense")
        wide = wide / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        x = _norm(x + _linear(wide, w, f"{at}output.dense"), w, f"{at}output.LayerNorm")
        layer += 1
    return x


def score(weights: Tensors, tokens: list[int], heads: int) -> float:
    """What the head says of the first token."""
    first = hidden(weights, tokens, heads)[0]
    inner = np.tanh(weights["classifier.dense.weight"] @ first + weights["classifier.dense.bias"])
    return float((weights["classifier.out_proj.weight"] @ inner + weights["classifier.out_proj.bias"])[0])


def _linear(x: NDArray[np.float64], w: Mapping[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    product: NDArray[np.float64] = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return product


def _norm(x: NDArray[np.float64], w: Mapping[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    centred = x - x.mean(-1, keepdims=True)
    scaled: NDArray[np.float64] = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def _split(x: NDArray[np.float64], heads: int) -> NDArray[np.float64]:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)
