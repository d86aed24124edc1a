"""`ModelFacts` of a GGUF header: the sizes of the model, and its bytes by what they are for."""

from __future__ import annotations

import re
from collections import Counter
from math import prod

import msgspec

from edgellm.catalog import gguf_architectures as kinds, gguf_memory
from edgellm.catalog.gguf import Header, Tensor
from edgellm.catalog.gguf_sizes import Sizes
from edgellm.catalog.gguf_types import QUANTIZATIONS
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.errors import NotAModel

_LAYER = re.compile(r"(?:(?:enc|dec)\.)?blk\.(\d{1,5})\.")
_EXPERT = re.compile(r"\.ffn_\w*(?:_exps|_chexps|\.\d+)\.(?:weight|bias|scale)")
_BY_ROW = ("token_embd.weight", "per_layer_token_embd.weight")
_VISION = ("v.", "mm.", "vision_model.", "model.vision")
_ENCODER_FILE = "clip"  # the architecture of files that hold nothing but an image encoder
_LAST = (3, 4)  # of llama_pooling_type: the last token, and the score of a decoder that ranks, which is its last too
_FIM_KEYS = (("fim_pre_token_id", "fim_suf_token_id"), ("prefix_token_id", "suffix_token_id"))
# Spellings of llama-vocab.cpp: what opens the text before the gap, and what opens the text after it.
_FIM_MARKS = tuple(
    (before.encode(), after.encode())
    for before, after in (
        ("<|fim_prefix|>", "<|fim_suffix|>"),
        ("<fim-prefix>", "<fim-suffix>"),
        ("<fim_prefix>", "<fim_suffix>"),
        ("<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>"),
        ("<PRE>", "<SUF>"),
        ("\u2581<PRE>", "\u2581<SUF>"),
        ("<|code_prefix|>", "<|code_suffix|>"),
        ("<|prefix|>", "<|suffix|>"),
    )
)
MARKS = frozenset(mark for pair in _FIM_MARKS for mark in pair)


def facts(header: Header) -> ModelFacts:
    """What `header` says, read with `MARKS` wanted. Raises NotAModel when its sizes are absurd."""
    if not header.architecture:
        raise NotAModel(f"{header.name} is damaged: it does not say what architecture it is. Download it again.")
    sizes = Sizes(header)
    sums = _Sums(header.tensors, sizes)
    tied = "output.weight" not in sums.named and "token_embd.weight" in sums.named and not _encodes(sizes)
    return ModelFacts(
        format="gguf",
        architecture=sizes.architecture,
        name=header.text("general.name"),
        quantization=_quantization(header, sums.types),
        parameters=sum(prod(tensor.shape) for tensor in header.tensors),
        context=sizes.number("context_length"),
        embedding=sizes.number("embedding_length"),
        heads=max(sizes.heads, default=0),
        feed_forward=sizes.most("feed_forward_length") or sizes.most("expert_feed_forward_length"),
        vocabulary=_vocabulary(header, sizes),
        experts=sizes.number("expert_count"),
        experts_used=sizes.most("expert_used_count"),
        layers=sums.layers(gguf_memory.layers(sizes)),
        input_bytes=sum(sums.named.get(name, 0) for name in _BY_ROW),
        output_bytes=sums.named.get("token_embd.weight" if tied else "output.weight", 0),
        tied=tied,
        other_bytes=sums.other,
        idle_bytes=sums.idle,
        weight_bytes=sum(tensor.bytes for tensor in header.tensors),
        file_bytes=header.file_bytes,
        template=header.text("tokenizer.chat_template") or None,
        pooling=_encodes(sizes) or sizes.number("pooling_type") > 0,
        pools_last=sizes.number("pooling_type") in _LAST,
        fim=_fills(header),
        tensor_types=dict(sums.types),
        vision=sizes.architecture == _ENCODER_FILE or any(tensor.name.startswith(_VISION) for tensor in header.tensors),
    )


class _Sums:
    """Bytes of tensors by layer, by name, and by type."""

    def __init__(self, tensors: tuple[Tensor, ...], sizes: Sizes) -> None:
        self.named = {tensor.name: tensor.bytes for tensor in tensors}
        self.types: Counter[str] = Counter()
        self.other = self.idle = 0
        self._weights: Counter[int] = Counter()
        self._experts: Counter[int] = Counter()
        for tensor in tensors:
            self.types[tensor.type] += tensor.bytes
            found = _LAYER.match(tensor.name)
            if found is None and tensor.name.startswith(_VISION) and sizes.architecture != _ENCODER_FILE:
                self.idle += tensor.bytes
            elif found is None:
                self.other += 0 if tensor.name in (*_BY_ROW, "output.weight") else tensor.bytes
            elif int(found[1]) < sizes.layers:
                self._weights[int(found[1])] += tensor.bytes
                self._experts[int(found[1])] += tensor.bytes if _EXPERT.search(tensor.name) else 0
            else:
                self.idle += tensor.bytes

    def layers(self, memory: list[LayerFacts]) -> tuple[LayerFacts, ...]:
        """`memory` with weights; a layer that only runs again what an earlier one holds has none of its own."""
        return tuple(
            msgspec.structs.replace(layer, weights=self._weights[index], experts=self._experts[index])
            for index, layer in enumerate(memory)
        )


def _encodes(sizes: Sizes) -> bool:
    return sizes.architecture in kinds.ENCODERS


def _quantization(header: Header, types: Counter[str]) -> str:
    """The mix that the file names, else the type that most of its bytes are of."""
    kind = header.number("general.file_type", -1)
    return QUANTIZATIONS.get(kind) or max(types, key=lambda name: types[name], default="")


def _vocabulary(header: Header, sizes: Sizes) -> int:
    rows = next((tensor.shape[1:2] for tensor in header.tensors if tensor.name == "token_embd.weight"), ())
    return header.lengths.get("tokenizer.ggml.tokens") or sizes.number("vocab_size") or sum(rows)


def _fills(header: Header) -> bool:
    """Whether there are tokens for filling in the middle, by their settings or by their spelling."""
    by_key = any(all(f"tokenizer.ggml.{key}" in header.values for key in pair) for pair in _FIM_KEYS)
    return by_key or any(header.marks.issuperset(pair) for pair in _FIM_MARKS)
