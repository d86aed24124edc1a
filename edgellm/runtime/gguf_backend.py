"""Loads a GGUF file with the library its settings name: stock llama.cpp, or a fork of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgellm.config import ModelSettings

if TYPE_CHECKING:
    from edgellm.backends.base import Backend


def load(path: Path, settings: ModelSettings) -> Backend:
    """Raises what the backend raises, and Unsupported where the library is not installed."""
    if settings.backend == "ik":
        from edgellm.backends import ik
        from edgellm.errors import Unsupported

        if ik.installed() != ik.VERSION:
            raise Unsupported(f"{ik.NAME} {ik.VERSION} is not installed. Install it with: pip install 'edgellm[ik]'")
        return ik.backend(path, settings)
    from edgellm.backends.llamacpp import LlamaCppBackend

    return LlamaCppBackend.load(path, settings)


def build_id(settings: ModelSettings) -> str:
    """What measurements of a model loaded with `settings` depend on."""
    if settings.backend == "ik":
        from edgellm.backends import ik

        return ik.build_id()
    from edgellm.backends.llamacpp import build_id as stock

    return stock()
