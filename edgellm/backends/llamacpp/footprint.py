"""How much of this machine's memory a model file would take when loaded with given settings."""

from __future__ import annotations

from pathlib import Path

from edgellm.backends.llamacpp import file_check, kv_size, library
from edgellm.config import ModelSettings


def footprint(path: Path, settings: ModelSettings) -> int:
    """Bytes of main memory for weights and KV cache; 0 where a GPU takes them, whose driver refuses for itself.

    `settings.context` must be given. Raises ModelNotFound and NotAModel.
    """
    assert settings.context > 0
    facts = file_check.check(path)
    if settings.gpu_layers != 0 and library.load().llama_supports_gpu_offload():
        return 0
    return path.stat().st_size + kv_size.kv_bytes(facts, settings.context, settings.kv_type)
