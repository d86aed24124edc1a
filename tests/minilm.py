"""all-MiniLM-L6-v2 for tests: its weights, a GGUF file of them, the int8 ONNX folder; skips where it is not there."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests import models, tiny_bert

SHAPE = tiny_bert.Shape(layers=6, width=384, heads=12, feed_forward=1536, context=512, name="all-MiniLM-L6-v2")
_MARKS = (101, 102, 100, 0, 103)


def weights() -> dict[str, NDArray[np.float32]]:
    """The tensors by their own names."""
    with _archive().open("model.safetensors") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        head = json.loads(file.read(size))
        data = file.read()
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in head.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def gguf(folder: Path) -> Path:
    """A half-precision GGUF file of the model in `folder`, written on first use."""
    path = folder / "all-minilm.gguf"
    if not path.exists():
        pieces = json.loads(_archive().read("tokenizer.json"))["model"]["vocab"]
        tiny_bert.write(path, SHAPE, weights(), sorted(pieces, key=pieces.__getitem__), _MARKS)
    return path


def onnx(folder: Path) -> Path:
    """The int8 model as a folder, as ONNX models for sentence embeddings come."""
    place = folder / "all-minilm-onnx"
    if not place.exists():
        graph, archive = models.path("minilm-int8"), _archive()
        for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
            archive.extract(name, place)
        shutil.copy(graph, place / "model.onnx")
    return place


def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(models.path("minilm"))
