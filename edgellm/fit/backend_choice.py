"""Which backend a model is for on this machine, by the formats that it comes in and what is installed, and why."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edgellm.catalog.sources import Format

OF_FORMAT: dict[Format, str] = {"gguf": "llama.cpp", "mlx": "MLX", "onnx": "ONNX Runtime"}
OF_SETTING: dict[str, Format] = {"llama.cpp": "gguf", "ik": "gguf", "mlx": "mlx", "onnx": "onnx"}
"""What the library that the settings may name reads."""
ALL = frozenset(OF_FORMAT.values())
_INSTALL = {"MLX": "pip install 'edgellm[mlx]'", "ONNX Runtime": "pip install 'edgellm[onnx]'"}


class BackendChoice(msgspec.Struct, frozen=True):
    """`usable` is false where nothing here can run the model; `reason` then ends with what to do about it."""

    backend: str
    format: Format
    usable: bool
    reason: str


def choose(
    formats: Collection[Format],
    apple: bool,
    wanted: Format | None = None,
    installed: Collection[str] = ALL,
) -> BackendChoice:
    """The format `wanted` if one is; else MLX's on Apple Silicon (`apple`), llama.cpp's elsewhere, or what there is.

    What is not installed is passed over for what is, where the model comes for that too.
    """
    assert formats
    if wanted is not None and wanted not in formats:
        others = " and ".join(OF_FORMAT[each] for each in OF_FORMAT if each in formats)
        asked = OF_FORMAT[wanted]
        return BackendChoice(asked, wanted, False, f"{asked} was asked for, and this model comes for {others}")
    ranked = [(wanted, f"{OF_FORMAT[wanted]} was asked for")] if wanted else _ranked(formats, apple)
    best, reason = ranked[0]
    for format, why in ranked:
        if OF_FORMAT[format] in installed:
            lacking = "" if format == best else f"; {OF_FORMAT[best]} is not installed ({install(OF_FORMAT[best])})"
            return BackendChoice(OF_FORMAT[format], format, True, why + lacking)
    backend = OF_FORMAT[best]
    return BackendChoice(backend, best, False, f"{reason}; {backend} is not installed: {install(backend)}")


def install(backend: str) -> str:
    """The command that brings it."""
    return _INSTALL.get(backend, "pip install llama-cpp-python")


def _ranked(formats: Collection[Format], apple: bool) -> list[tuple[Format, str]]:
    found: list[tuple[Format, str]] = []
    if "gguf" in formats:
        found.append(("gguf", "llama.cpp runs GGUF models on every processor and GPU"))
    if "onnx" in formats:
        found.append(("onnx", "ONNX Runtime runs models in the ONNX format"))
    if "mlx" in formats:
        if apple:
            return [("mlx", "MLX is the fastest on Apple Silicon"), *found]
        found.append(("mlx", "MLX runs models in its format, slowly without Apple Silicon"))
    return found
