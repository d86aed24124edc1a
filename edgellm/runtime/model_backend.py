"""Loads a model with the library of its format: GGUF with llama.cpp or its fork, folders with MLX or ONNX Runtime.

Also what measurements of a model go by, whatever its format: its identity, the library's build, and the threads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgellm.catalog import model_folder
from edgellm.config import ModelSettings
from edgellm.runtime import gguf_backend

if TYPE_CHECKING:
    from edgellm.backends.base import Backend


def load(path: Path, settings: ModelSettings) -> Backend:
    """Raises what the backend raises, and Unsupported where the library is not installed."""
    match model_folder.kind(path):
        case "mlx":
            from edgellm.backends.mlx import MlxBackend

            return MlxBackend.load(path, settings)
        case "onnx":
            from edgellm.backends.onnx import OnnxBackend

            return OnnxBackend.load(path, settings)
        case _:
            return gguf_backend.load(path, settings)


def build_id(path: Path, settings: ModelSettings) -> str:
    """What measurements of the model at `path`, loaded with `settings`, depend on."""
    match model_folder.kind(path):
        case "mlx":
            from edgellm.backends import mlx

            return mlx.build_id()
        case "onnx":
            from edgellm.backends import onnx

            return onnx.build_id()
        case _:
            return gguf_backend.build_id(settings)


def identity(path: Path) -> str:
    """The name that the model at `path` has in measurements. Raises OSError."""
    if path.is_dir():
        from edgellm.backends import folder_identity

        return folder_identity.identity(path).hex()
    from edgellm.backends.llamacpp import identity as of_gguf

    return of_gguf.identity(path).hex()


def threads(path: Path, settings: ModelSettings) -> int:
    """How many compute."""
    if settings.threads:
        return settings.threads
    if path.is_dir():
        return os.cpu_count() or 1
    from edgellm.backends.llamacpp.threads import default_threads

    return default_threads()
