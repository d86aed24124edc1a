"""Opens a model on this machine for embeddings or ranking: in a worker process, as long as its inputs may be here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from edgellm import paths
from edgellm.catalog import onnx_encoder_facts
from edgellm.catalog.metadata import ModelFacts
from edgellm.config import ModelSettings, Settings
from edgellm.errors import LoadError, ModelNotFound, NotEnoughMemory, UnsupportedModel
from edgellm.machine.machine import Machine, detect
from edgellm.model import ModelInfo
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.locate import Located, locate
from edgellm.runtime.process_embedder import ProcessEmbedder
from edgellm.runtime.resident import Opened
from edgellm.runtime.threads import threads

LONGEST, SHORTEST = 8192, 512
"""Tokens that an input may have where there is room, and those that must fit."""

_AROUND = 192 << 20
"""A process with its libraries, and what a model takes whose header tells nothing."""


def load_embedder(name: str, settings: Settings) -> ProcessEmbedder:
    """The model of a name, alias or path, not loaded yet; fetched first where it is not on this machine (this blocks).

    Raises ModelNotFound, DownloadError, and NotEnoughMemory unless the settings forbid.
    """
    return _opened(locate(name, settings), settings, detect())[0]


def open_embedder(found: Located, settings: Settings, machine: Machine) -> Opened:
    """Not loaded yet. Its inputs may be so long as fits `machine`. Raises NotEnoughMemory unless told not to check."""
    embedder, needed, weights = _opened(found, settings, machine)
    return Opened(embedder, needed, mapped_bytes=weights)


def _opened(found: Located, settings: Settings, machine: Machine) -> tuple[ProcessEmbedder, int, int]:
    """The embedder, the bytes it needs in all, and those of them that are pages of its file."""
    if found.kind == "mlx":
        raise UnsupportedModel(f"{found.path} is an MLX model, which gives no embeddings here. Name a GGUF version.")
    if found.kind == "onnx" and not onnx_encoder_facts.holds_encoder(found.path):
        raise UnsupportedModel(f"{found.path} is an ONNX model that writes, and gives no embeddings. Name another one.")
    chosen = msgspec.structs.replace(settings.model_settings(), threads=threads(settings, machine))
    try:
        facts = facts_of(found.path)
    except (LoadError, ModelNotFound, OSError):
        facts = None  # whoever loads it says why
    needed = _size(found.path) + _AROUND
    if facts is not None:
        chosen = _fitting(facts, chosen, machine)
        needed = memory(facts, chosen)
        if settings.memory_check and needed > machine.usable_memory:
            raise _refusal(found.name, needed, machine.usable_memory)
    info = _info(found, facts, _notes(found, facts, settings, chosen))
    arguments: dict[str, Any] = {
        "path": str(found.path),
        "info": msgspec.to_builtins(info),
        "kind": found.kind,
        "settings": msgspec.to_builtins(chosen),
        "least_dimensions": found.entry.least_dimensions if found.entry is not None else 0,
    }
    # Most of it is taken only when a long input comes.
    spec = WorkerSpec(f"{__name__}:local_embedder", arguments, growth=needed)
    embedder = ProcessEmbedder(spec, info, paths.logs_dir() / "worker.log")
    weights = facts.weight_bytes if facts is not None and found.kind == "gguf" else 0
    return embedder, needed, weights


def local_embedder(
    path: str, info: dict[str, Any], kind: str, settings: dict[str, Any], least_dimensions: int = 0
) -> Any:
    """What a worker process hosts: the model at `path` as a `LocalEmbedder`, called as `info` says."""
    from edgellm.backends.embedding import EmbeddingBackend
    from edgellm.runtime.local_embedder import LocalEmbedder

    chosen = msgspec.convert(settings, ModelSettings)

    def load() -> EmbeddingBackend:
        if kind == "onnx":
            from edgellm.backends.onnx_embedding import OnnxEmbedding

            return OnnxEmbedding.load(Path(path), chosen)
        from edgellm.backends.llamacpp.embedding import LlamaCppEmbedding

        return LlamaCppEmbedding.load(Path(path), chosen)

    known = msgspec.convert(info, ModelInfo)
    return LocalEmbedder(load, known, least_dimensions=least_dimensions, room=chosen.queue)


def memory(facts: ModelFacts, settings: ModelSettings) -> int:
    """Bytes for weights and for the longest input.

    llama.cpp keeps a row over the whole vocabulary for every token that it computes at once, and decoders fill it.
    """
    tokens = settings.context or min(facts.context or LONGEST, LONGEST)
    kv = sum(2 * (layer.key + layer.value) for layer in facts.layers) * tokens
    steps = kv and (settings.pooling == "last" or (settings.pooling == "auto" and facts.pools_last))
    at_once = min(tokens, settings.batch) if steps else max(tokens, settings.batch)
    rows = facts.vocabulary * (2 if kv else 1) if facts.format == "gguf" else 0
    each = 4 * (rows + 8 * facts.embedding + 3 * facts.feed_forward)
    return facts.weight_bytes + kv + at_once * each + 4 * at_once * at_once + _AROUND


def _fitting(facts: ModelFacts, settings: ModelSettings, machine: Machine) -> ModelSettings:
    """`settings` with the context that inputs may have: what was asked for, half of it and so on, until it fits.

    The setting is for models that write, too, whose contexts take less memory: it is no reason to refuse.
    """
    longest = _wanted(facts, settings)
    while True:
        tried = msgspec.structs.replace(settings, context=longest)
        if longest <= SHORTEST or memory(facts, tried) <= machine.usable_memory:
            return tried
        longest = max(SHORTEST, longest // 2)


def _wanted(facts: ModelFacts, settings: ModelSettings) -> int:
    return min(facts.context or LONGEST, settings.context or LONGEST)


def _info(found: Located, facts: ModelFacts | None, notes: tuple[str, ...]) -> ModelInfo:
    return ModelInfo(
        name=found.name,
        backend="llama.cpp" if found.kind == "gguf" else "onnx",
        notes=notes,
        parameters=facts.parameters if facts is not None else 0,
        quantization=facts.quantization if facts is not None else "",
    )


def _notes(found: Located, facts: ModelFacts | None, asked: ModelSettings, chosen: ModelSettings) -> tuple[str, ...]:
    reasons = [found.reason] if found.reason else []
    if facts is not None and chosen.context < (longest := _wanted(facts, asked)):
        reasons.append(f"Inputs may have {chosen.context} tokens, not {longest}: more would not fit in memory.")
    return tuple(reasons)


def _refusal(name: str, needed: int, available: int) -> NotEnoughMemory:
    return NotEnoughMemory(
        f"{name} needs {needed / 2**30:.1f} GiB of memory for embeddings, and {available / 2**30:.1f} GiB are free. "
        "Close other programs, or choose a smaller model.",
        needed,
        available,
    )


def _size(path: Path) -> int:
    try:
        return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*.onnx*")))
    except OSError:
        return 0
