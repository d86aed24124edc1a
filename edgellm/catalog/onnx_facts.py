"""`ModelFacts` of a folder as ONNX Runtime GenAI takes it: `genai_config.json`, one graph, and its data beside it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import msgspec

from edgellm.catalog import json_file, onnx_tensors, tokenizer_files
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.catalog.onnx_tensors import OnnxTensor
from edgellm.errors import NotAModel

SETTINGS = "genai_config.json"
_MOST_LAYERS, _LARGEST = 1024, 2**31
_LAYER = re.compile(r"(?:^|[./])layers?[./](\d{1,5})[./]")
_EXPERT = re.compile(r"[./](?:moe|experts?)[./]")
_INPUT = re.compile(r"(?:^|[./])(?:embed_tokens|wte|word_embeddings)[./]")
_OUTPUT = re.compile(r"(?:^|[./])lm_head[./]")
_PACKED = re.compile(r"_Q([1-8])(?:G\d+)?\Z|[._]qweight\Z")
_SCALES = re.compile(r"[._](?:scales?|zp|zero_points?|qzeros)\Z")


class _Window(msgspec.Struct):
    window_size: int = 0
    layers: list[int] | None = None


class _Decoder(msgspec.Struct):
    filename: str = ""
    hidden_size: int = 0
    head_size: int = 0
    num_attention_heads: int = 0
    num_hidden_layers: int = 0
    num_key_value_heads: int = 0
    sliding_window: _Window | None = None


class _Vision(msgspec.Struct):
    filename: str = ""


class _Model(msgspec.Struct):
    type: str = ""
    context_length: int = 0
    vocab_size: int = 0
    decoder: _Decoder = msgspec.field(default_factory=_Decoder)
    vision: _Vision | None = None


class _Settings(msgspec.Struct):
    model: _Model = msgspec.field(default_factory=_Model)


def facts(folder: Path) -> ModelFacts:
    """What the model in `folder` is. Raises NotAModel or LoadError."""
    model = json_file.read(folder / SETTINGS, _Settings).model
    decoder = model.decoder
    _check(folder / SETTINGS, model)
    tensors = onnx_tensors.read(_graph(folder, decoder))
    sums = _Sums(tensors, decoder.num_hidden_layers)
    return ModelFacts(
        format="onnx",
        architecture=model.type,
        name=folder.name,
        quantization=_quantization(tensors),
        parameters=sum(_parameters(tensor) for tensor in tensors),
        context=model.context_length,
        embedding=decoder.hidden_size,
        heads=decoder.num_attention_heads,
        feed_forward=0,
        vocabulary=model.vocab_size,
        layers=sums.layers(decoder),
        input_bytes=sums.input,
        output_bytes=sums.output or sums.input,
        tied=sums.output == 0 and sums.input > 0,
        other_bytes=sums.other,
        weight_bytes=sum(tensor.bytes for tensor in tensors),
        file_bytes=tokenizer_files.bytes_in(folder),
        template=tokenizer_files.template(folder),
        fim=tokenizer_files.fills_in(folder),
        tensor_types=dict(sums.types),
        vision=model.vision is not None and model.vision.filename != "",
    )


def _check(path: Path, model: _Model) -> None:
    decoder = model.decoder
    numbers = (model.context_length, model.vocab_size, decoder.hidden_size, decoder.head_size)
    heads = (decoder.num_attention_heads, decoder.num_key_value_heads)
    if not all(0 <= number < _LARGEST for number in (*numbers, *heads)):
        raise NotAModel(f"{path} is damaged: its sizes are those of no model. Download it again.")
    if not 0 <= decoder.num_hidden_layers <= _MOST_LAYERS:
        raise NotAModel(f"{path} is damaged: it claims {decoder.num_hidden_layers:,} layers. Download it again.")


def _graph(folder: Path, decoder: _Decoder) -> Path:
    """The decoder's file, which must be right in `folder`."""
    name = decoder.filename
    if not name or name != Path(name).name or "\\" in name or not (folder / name).is_file():
        raise NotAModel(f"{folder} lacks its model file {name!r}. Download it again.")
    return folder / name


class _Sums:
    """Bytes of tensors by what they are for, and by type."""

    def __init__(self, tensors: tuple[OnnxTensor, ...], layers: int) -> None:
        self.input = self.output = self.other = 0
        self.types: Counter[str] = Counter()
        self._weights: Counter[int] = Counter()
        self._experts: Counter[int] = Counter()
        for tensor in tensors:
            self.types[tensor.type] += tensor.bytes
            found = _LAYER.search(tensor.name)
            if found is not None and int(found[1]) < layers:
                self._weights[int(found[1])] += tensor.bytes
                self._experts[int(found[1])] += tensor.bytes if _EXPERT.search(tensor.name) else 0
            elif _OUTPUT.search(tensor.name):
                self.output += tensor.bytes
            elif _INPUT.search(tensor.name):
                self.input += tensor.bytes
            else:
                self.other += tensor.bytes

    def layers(self, decoder: _Decoder) -> tuple[LayerFacts, ...]:
        """KV as the runtime shapes it: KV heads x head size for keys and for values, in every layer."""
        size = decoder.num_key_value_heads * decoder.head_size
        window = decoder.sliding_window or _Window()
        sliding = range(decoder.num_hidden_layers) if window.layers is None else window.layers
        return tuple(
            LayerFacts(
                key=size,
                value=size,
                window=max(window.window_size, 0) if index in sliding else 0,
                weights=self._weights[index],
                experts=self._experts[index],
            )
            for index in range(decoder.num_hidden_layers)
        )


def _bits(tensor: OnnxTensor) -> int:
    """Bits of a packed weight, by the names that the model builder gives them; 0 for any other tensor."""
    found = _PACKED.search(tensor.name)
    if found is None or tensor.type != "U8":
        return 0
    return int(found[1] or 4)


def _parameters(tensor: OnnxTensor) -> int:
    """Numbers before quantization; scales and zero points belong to those."""
    if bits := _bits(tensor):
        return tensor.bytes * 8 // bits
    return 0 if _SCALES.search(tensor.name) else tensor.elements


def _quantization(tensors: tuple[OnnxTensor, ...]) -> str:
    """What most of the bytes of packed weights are, else of all tensors."""
    packed: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for tensor in tensors:
        if bits := _bits(tensor):
            packed[f"int{bits}"] += tensor.bytes
        else:
            plain[tensor.type.lower()] += tensor.bytes
    counted = packed or plain
    return max(counted, key=lambda name: counted[name], default="")
