"""A random-weights llama model of under 1 MB, written as GGUF: everything a real file has, nothing to download."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BOS, EOS, IM_START, IM_END = "<|begin|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (BOS, EOS, IM_START, IM_END)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = (
    "The quick brown fox jumps over the lazy dog. A model turns a request into a stream of events, and an engine "
    "decodes a batch of tokens into logits. def main(argument): return print('hello world') if argument else None. "
    "What is the capital of France? The capital of France is Paris, which stands on the river Seine. Once upon a time "
    "there was a small house at the edge of the forest, where an old woman lived with her three cats and a red hen. "
)


@dataclass(frozen=True)
class Shape:
    """What varies between tiny models; the file's name depends on all of it."""

    seed: int = 0
    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 32
    feed_forward: int = 128
    vocabulary: int = 512
    context: int = 2048
    half: bool = False
    template: str | None = CHATML
    architecture: str = "llama"
    name: str = "tiny"


def build(directory: Path, **changes: object) -> Path:
    """The path of the tiny model in `directory`, written on first use; `changes` are fields of `Shape`."""
    shape = Shape(**changes)  # type: ignore[arg-type]
    key = blake2b(repr(sorted(asdict(shape).items())).encode(), digest_size=6).hexdigest()
    path = directory / f"tiny-{key}.gguf"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        half_written = path.with_suffix(f".{os.getpid()}.part")
        _write(half_written, shape)
        half_written.replace(path)
    return path


def _write(path: Path, shape: Shape) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(shape.name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if shape.half else gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens, merges = vocabulary(shape.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in CONTROL_TOKENS else normal for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index(BOS))
    writer.add_eos_token_id(tokens.index(EOS))
    writer.add_add_bos_token(True)
    if shape.template is not None:
        writer.add_chat_template(shape.template)
    for name, tensor in _weights(shape).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(shape: Shape) -> dict[str, NDArray[np.float32] | NDArray[np.float16]]:
    random = np.random.default_rng(shape.seed)

    def matrix(rows: int, columns: int, gain: float = 1.0) -> NDArray[np.float32] | NDArray[np.float16]:
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(gain / columns**0.5)
        return values.astype(np.float16) if shape.half else values

    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    norm = np.ones(shape.width, dtype=np.float32)
    weights = {
        "token_embd.weight": matrix(shape.vocabulary, shape.width, gain=4.0),
        "output_norm.weight": norm,
        "output.weight": matrix(shape.vocabulary, shape.width, gain=3.0),
    }
    for layer in range(shape.layers):
        weights |= {
            f"blk.{layer}.attn_norm.weight": norm,
            f"blk.{layer}.attn_q.weight": matrix(queries, shape.width),
            f"blk.{layer}.attn_k.weight": matrix(keys, shape.width),
            f"blk.{layer}.attn_v.weight": matrix(keys, shape.width),
            f"blk.{layer}.attn_output.weight": matrix(shape.width, queries),
            f"blk.{layer}.ffn_norm.weight": norm,
            f"blk.{layer}.ffn_gate.weight": matrix(shape.feed_forward, shape.width),
            f"blk.{layer}.ffn_up.weight": matrix(shape.feed_forward, shape.width),
            f"blk.{layer}.ffn_down.weight": matrix(shape.width, shape.feed_forward),
        }
    return weights


@cache
def vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Tokens (256 bytes, merged pairs, control tokens) and merges of a byte-level BPE, in GPT-2's spelling."""
    assert size >= 256 + len(CONTROL_TOKENS), size
    spelling = _byte_spelling()
    words = Counter(
        tuple(spelling[byte] for byte in word.encode()) for word in _CORPUS.replace(" ", "\n ").split("\n") if word
    )
    tokens, merges = list(spelling), []
    while len(tokens) < size - len(CONTROL_TOKENS):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        fresh = [pair for pair in pairs if "".join(pair) not in tokens]
        if not fresh:
            tokens.append(f"unused{len(tokens)}")
            continue
        best = max(fresh, key=lambda pair: (pairs[pair], pair))
        tokens.append("".join(best))
        merges.append(" ".join(best))
        words = Counter({_merged(word, best): count for word, count in words.items()})
    return [*tokens, *CONTROL_TOKENS], merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    parts: list[str] = []
    for part in word:
        if parts and (parts[-1], part) == pair:
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(parts)


def _byte_spelling() -> list[str]:
    """GPT-2's printable stand-in for each byte value."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
