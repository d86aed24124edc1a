"""What on this machine's disk is a model: a GGUF file, the first of its splits, an MLX folder or an ONNX folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from edgellm.catalog import onnx_encoder_facts, quantization
from edgellm.errors import ModelNotFound, NotAModel

Kind = Literal["gguf", "mlx", "onnx"]
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.gguf)\Z", re.IGNORECASE)


def exists(path: Path) -> bool:
    """Whether there is something at `path`; a name too long or with characters no path can have is nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def kind(path: Path) -> Kind | None:
    """What sort of model this is, by the names of the files alone; a plain file counts as GGUF."""
    if not path.is_dir():
        return "gguf"
    if (path / "genai_config.json").is_file() or onnx_encoder_facts.holds_encoder(path):
        return "onnx"
    if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        return "mlx"
    return "gguf" if any(path.glob("*.[gG][gG][uU][fF]")) else None


def model_at(path: Path) -> Path:
    """The model that `path` means: a file (of splits the first), or an MLX or ONNX folder.

    Raises NotAModel for a folder without a model, ModelNotFound for one with several or when splits are missing.
    """
    if not path.is_dir():
        return _first_split(path)
    match kind(path):
        case "mlx" | "onnx":
            return path
        case "gguf":
            return _only_gguf(path)
        case None:
            raise NotAModel(
                f"the folder {path} holds no model: no GGUF file, no genai_config.json or *.onnx with tokenizer.json "
                "(ONNX) and no config.json with *.safetensors (MLX). Name the folder or the file of a model."
            )


def _only_gguf(folder: Path) -> Path:
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() == ".gguf")
    models = quantization.models(names)
    if len(models) == 1:
        return folder / models[0][0]
    if not models:
        raise ModelNotFound(f"the folder {folder} has no complete model, only {', '.join(names[:4])}. Name a file.")
    listed = ", ".join(parts[0] for parts in models[:6])
    raise ModelNotFound(f"the folder {folder} holds {len(models)} models: {listed}. Name one of these files.")


def _first_split(path: Path) -> Path:
    split = _SPLIT.match(path.name)
    if split is None or int(split[2]) == 1:
        return path
    first = path.with_name(f"{split[1]}-00001-of-{split[3]}{split[4]}")
    if not exists(first):
        raise ModelNotFound(f"{path} is part {int(split[2])} of a model, and its first part {first.name} is missing.")
    return first
