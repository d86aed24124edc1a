"""Which files of a repository are the model that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from edgellm.catalog import quantization as quantizations
from edgellm.catalog.sources import QUANTIZATION, HubSource
from edgellm.errors import NotAtSource

USUAL = ("Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_0", "Q4_1", "IQ4_XS", "IQ4_NL", "MXFP4", "Q5_K_M", "Q5_K_S", "Q8_0")
"""What most people take, in the order of taking, where nobody has looked at the machine."""
_GENERATES = "genai_config.json"
_BESIDE = ("*.md", ".*", "*/.*", "*.png", "*.jpg", "*.gif", "*.pdf", "*.pt", "*.pth", "*.bin", "*.h5", "original/*")
"""Files that lie in repositories beside a model of several files and are no part of it."""


class Choice(msgspec.Struct, frozen=True):
    """Paths in the repository, splits in order, and what they are."""

    files: tuple[str, ...]
    quantization: str
    format: Literal["gguf", "mlx", "onnx"] = "gguf"


def of_listing(source: HubSource, listing: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The GGUF models that `source` means among the files listed, by quantization."""
    wanted = source.file.replace(QUANTIZATION, "*").lower()
    return quantizations.groups([file for file in listing if fnmatchcase(file.lower(), wanted)])


def choose(source: HubSource, listing: Sequence[str], quantization: str = "") -> Choice:
    """The model to fetch of what the repository lists. Raises NotAtSource, with what there is instead."""
    if source.format != "gguf":
        files = source.files(listing, quantization)
        if not files:
            raise NotAtSource(f"{source.repository} has none of the files {source.file}. Was it rearranged?")
        return Choice(files, quantization, source.format)
    models = of_listing(source, listing)
    if not models and not quantization:
        return _folder(source, listing)
    if quantization:
        return _named(source, listing, models, quantization)
    best = next((name for name in USUAL if name in models), next(iter(models)))
    return Choice(models[best], best)


def _named(source: HubSource, listing: Sequence[str], models: dict[str, tuple[str, ...]], wanted: str) -> Choice:
    if files := source.files(listing, wanted):
        return Choice(files, wanted)
    there = ", ".join(sorted(name or "one without a name" for name in models)) or "no GGUF model at all"
    raise NotAtSource(f"{source.repository} has no {wanted}. It has: {there}.")


def _folder(source: HubSource, listing: Sequence[str]) -> Choice:
    """A model of the MLX or ONNX kind: every file of the repository that is part of it."""
    names = [file for file in listing if not any(fnmatchcase(file.lower(), pattern) for pattern in _BESIDE)]
    if inside := sorted(file.removesuffix(_GENERATES) for file in names if file.endswith(_GENERATES)):
        # One model for each kind of computer: that for processors runs everywhere.
        folder = next((folder for folder in inside if "cpu" in folder.lower()), inside[0])
        return Choice(tuple(sorted(file for file in names if file.startswith(folder))), "", "onnx")
    if any(file.endswith(".onnx") for file in names):
        return Choice(tuple(sorted(names)), "", "onnx")
    if "config.json" in names and any(file.endswith(".safetensors") for file in names):
        return Choice(tuple(sorted(file for file in names if "/" not in file)), "", "mlx")
    raise NotAtSource(
        f"{source.repository} holds no model that edgellm can use: no GGUF, MLX or ONNX files. "
        "Many models have a second repository with GGUF files; its name usually ends in -GGUF."
    )
