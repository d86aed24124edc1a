"""`ModelFacts` of a folder as MLX takes it: `config.json`, safetensors files, and a tokenizer's settings."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from edgellm.catalog import mlx_memory, safetensors, tokenizer_files
from edgellm.catalog.mlx_config import SETTINGS, Config
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.catalog.safetensors import Weight

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.(\d{1,5})\.")
_EXPERT = re.compile(r"\.(?:switch_mlp|switch_glu|experts)\.")
_INPUT = re.compile(r"(?:^|\.)(?:embed_tokens(?:_per_layer)?|wte|word_embeddings|tok_embeddings|embeddings)\.\w+\Z")
_OUTPUT = re.compile(r"(?:^|\.)(?:lm_head|output_layer)\.")
_IDLE = re.compile(r"(?:^|\.)(?:vision_tower|vision_model|visual|vision_embed_tokens|audio_tower|mtp|\w*projector)\.")
_VISION = re.compile(r"(?:^|\.)(?:vision_tower|vision_model|visual)\.")
_ENCODERS = ("ForMaskedLM", "ForSequenceClassification", "Model")


def holds_model(folder: Path) -> bool:
    """Whether `folder` looks like one."""
    return (folder / SETTINGS).is_file() and any(folder.glob("*.safetensors"))


def facts(folder: Path) -> ModelFacts:
    """What the model in `folder` is. Raises NotAModel or LoadError."""
    config = Config(folder)
    weights = safetensors.read_folder(folder)
    sums = _Sums(weights, config)
    return ModelFacts(
        format="mlx",
        architecture=config.kind,
        name=config.text("_name_or_path") or folder.name,
        quantization=_quantization(config, sums.types),
        parameters=_parameters(config, weights),
        context=config.number("max_position_embeddings", "n_positions", "max_sequence_length"),
        embedding=config.width,
        heads=config.heads,
        feed_forward=config.number("intermediate_size", "n_inner", "ffn_dim", "moe_intermediate_size"),
        vocabulary=config.number("vocab_size"),
        experts=config.number("num_experts", "num_local_experts", "n_routed_experts"),
        experts_used=config.number("num_experts_per_tok", "num_experts_per_token", "top_k_experts"),
        layers=sums.layers(mlx_memory.layers(config)),
        input_bytes=sums.input,
        output_bytes=sums.output or sums.input,
        tied=sums.output == 0 and sums.input > 0,
        other_bytes=sums.other,
        idle_bytes=sums.idle,
        weight_bytes=sum(weight.bytes for weight in weights),
        file_bytes=tokenizer_files.bytes_in(folder),
        template=tokenizer_files.template(folder),
        pooling=_encodes(config, folder),
        fim=tokenizer_files.fills_in(folder),
        tensor_types=dict(sums.types),
        vision=any(_VISION.search(weight.name) for weight in weights),
    )


class _Sums:
    """Bytes of tensors by what they are for, and by type."""

    def __init__(self, weights: tuple[Weight, ...], config: Config) -> None:
        self.input = self.output = self.idle = self.other = 0
        self.types: Counter[str] = Counter()
        self._weights: Counter[int] = Counter()
        self._experts: Counter[int] = Counter()
        for weight in weights:
            self.types[weight.type] += weight.bytes
            found = _LAYER.search(weight.name)
            if _IDLE.search(weight.name) or (found is not None and int(found[1]) >= config.layers):
                self.idle += weight.bytes
            elif found is not None:
                self._weights[int(found[1])] += weight.bytes
                self._experts[int(found[1])] += weight.bytes if _EXPERT.search(weight.name) else 0
            elif _OUTPUT.search(weight.name):
                self.output += weight.bytes
            elif _INPUT.search(weight.name):
                self.input += weight.bytes
            else:
                self.other += weight.bytes

    def layers(self, memory: list[LayerFacts]) -> tuple[LayerFacts, ...]:
        return tuple(
            msgspec.structs.replace(layer, weights=self._weights[index], experts=self._experts[index])
            for index, layer in enumerate(memory)
        )


def _quantization(config: Config, types: Counter[str]) -> str:
    """As the settings say it, else the type that most of the bytes are of."""
    rule = _rule(config)
    bits, mode = rule.get("bits"), rule.get("mode", rule.get("quant_method", "affine"))
    if isinstance(mode, str) and mode != "affine":
        return mode
    return f"{bits}-bit" if isinstance(bits, int) else max(types, key=lambda name: types[name], default="").lower()


def _rule(config: Config) -> dict[str, Any]:
    for name in ("quantization", "quantization_config"):
        if isinstance(rule := config.outer.get(name), dict):
            return rule
    return {}


def _parameters(config: Config, weights: tuple[Weight, ...]) -> int:
    """Numbers before quantization: a packed weight has one scale for each group of them."""
    rule = _rule(config)
    scales = {weight.name.removesuffix("scales"): weight for weight in weights if weight.name.endswith(".scales")}
    total = 0
    for weight in weights:
        module = weight.name.rpartition(".")[0] + "."
        if module in scales and weight.name.endswith((".scales", ".biases")):
            continue
        if module in scales and weight.name.endswith(".weight"):
            total += scales[module].elements * _group(rule, module.removesuffix("."))
        else:
            total += weight.elements
    return total


def _group(rule: dict[str, Any], module: str) -> int:
    own = rule.get(module)
    size = (own if isinstance(own, dict) else rule).get("group_size", rule.get("group_size", 64))
    return size if isinstance(size, int) and 0 < size <= 2**16 else 64


def _encodes(config: Config, folder: Path) -> bool:
    """Whether it was made for embeddings: by the files that sentence-transformers adds, or by its class."""
    if (folder / "modules.json").is_file():
        return True
    names = config.outer.get("architectures")
    return isinstance(names, list) and bool(names) and str(names[0]).endswith(_ENCODERS)
