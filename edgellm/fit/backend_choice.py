"""Which backend a model is for on this machine, by the formats that it comes in, and why."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edgellm.catalog.sources import Format
from edgellm.machine.machine import Machine

OF_FORMAT: dict[Format, str] = {"gguf": "llama.cpp", "mlx": "MLX", "onnx": "ONNX Runtime"}
INSTALLED = frozenset({"llama.cpp"})
"""The backends that this version of edgellm has."""


class BackendChoice(msgspec.Struct, frozen=True):
    """`usable` is false where edgellm has no such backend; `reason` then says so, and why it would be the one."""

    backend: str
    format: Format
    usable: bool
    reason: str


def choose(
    formats: Collection[Format],
    machine: Machine,
    wanted: Format | None = None,
    installed: Collection[str] = INSTALLED,
) -> BackendChoice:
    """MLX on Apple Silicon, ONNX where there is nothing else or somebody wants it, llama.cpp otherwise."""
    assert formats
    best, reason = _best(formats, machine, wanted)
    if OF_FORMAT[best] in installed:
        return BackendChoice(OF_FORMAT[best], best, True, reason)
    if "gguf" in formats and wanted is None and "llama.cpp" in installed:
        why = f"llama.cpp: {reason[0].lower() + reason[1:]}, but this version of edgellm cannot use {OF_FORMAT[best]}"
        return BackendChoice("llama.cpp", "gguf", True, why)
    return BackendChoice(
        OF_FORMAT[best], best, False, f"{reason}; this version of edgellm cannot use {OF_FORMAT[best]}"
    )


def _best(formats: Collection[Format], machine: Machine, wanted: Format | None) -> tuple[Format, str]:
    if wanted is not None and wanted in formats:
        return wanted, f"{OF_FORMAT[wanted]} was asked for"
    if machine.system == "Darwin" and machine.arch == "arm64" and "mlx" in formats:
        return "mlx", "MLX is the fastest on Apple Silicon, and this model comes for it"
    if "gguf" in formats:
        return "gguf", "llama.cpp runs GGUF models on every processor and GPU"
    if "onnx" in formats:
        return "onnx", "This model comes for ONNX Runtime"
    return "mlx", "This model comes only for MLX, which needs Apple Silicon"
