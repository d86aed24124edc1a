"""`ModelFacts` of a folder with an ONNX graph for embeddings: `tokenizer.json`, `config.json` and the graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from edgellm.catalog import json_file, onnx_tensors
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.errors import NotAModel

_TOKENIZER, _GENERATES = "tokenizer.json", "genai_config.json"
_MOST, _LARGEST = 1024, 2**31


class _Settings(msgspec.Struct):
    model_type: str = ""
    max_position_embeddings: int = 0
    hidden_size: int = 0
    intermediate_size: int = 0
    num_attention_heads: int = 0
    num_hidden_layers: int = 0
    vocab_size: int = 0


def holds_encoder(folder: Path) -> bool:
    """Whether this is a model for embeddings, by the names of its files alone."""
    if not (folder / _TOKENIZER).is_file() or (folder / _GENERATES).exists():
        return False
    return any(graphs(folder))


def graphs(folder: Path) -> list[Path]:
    """The plain one first, where there are several."""
    found = sorted(path for path in (*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")) if path.is_file())
    return sorted(found, key=lambda path: path.name != "model.onnx")


def facts(folder: Path) -> ModelFacts:
    """What the model in `folder` is. Raises NotAModel or LoadError."""
    path = folder / "config.json"
    said = json_file.read(path, _Settings) if path.is_file() else _Settings()
    if (
        not all(0 <= number < _LARGEST for number in msgspec.structs.astuple(said)[1:])
        or said.num_hidden_layers > _MOST
    ):
        raise NotAModel(f"{path} is damaged: its sizes are those of no model. Download it again.")
    graph = graphs(folder)[0]
    tensors = onnx_tensors.read(graph)
    types: Counter[str] = Counter()
    for tensor in tensors:
        types[tensor.type] += tensor.bytes
    weights = sum(types.values())
    return ModelFacts(
        format="onnx",
        architecture=said.model_type,
        name=folder.name,
        quantization=max(types, key=lambda name: types[name], default="").lower(),
        parameters=sum(tensor.elements for tensor in tensors if tensor.elements > 1),
        context=said.max_position_embeddings,
        embedding=said.hidden_size,
        heads=said.num_attention_heads,
        feed_forward=said.intermediate_size,
        vocabulary=said.vocab_size,
        layers=(LayerFacts(),) * said.num_hidden_layers,
        other_bytes=weights,
        weight_bytes=weights,
        file_bytes=graph.stat().st_size,
        pooling=True,
        tensor_types=dict(types),
    )
