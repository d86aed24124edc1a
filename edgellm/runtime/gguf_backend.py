"""Loads a GGUF file with the library its settings name: stock llama.cpp, or a fork of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgellm.config import ModelSettings

if TYPE_CHECKING:
    from edgellm.backends.base import Backend


def load(path: Path, settings: ModelSettings) -> Backend:
    """Raises what the backend raises, Unsupported where the library is not installed or has no RPC, and Unavailable
    where an RPC server cannot be had.
    """
    if settings.backend == "ik":
        from edgellm.backends import ik
        from edgellm.errors import Unsupported

        if ik.installed() != ik.VERSION:
            raise Unsupported(f"{ik.NAME} {ik.VERSION} is not installed. Install it with: pip install 'edgellm[ik]'")
        return ik.backend(path, settings)
    from edgellm.backends.llamacpp import LlamaCppBackend

    if settings.rpc:
        return _with_servers(path, settings)
    return LlamaCppBackend.load(path, settings)


def _with_servers(path: Path, settings: ModelSettings) -> Backend:
    from edgellm.backends.llamacpp import LlamaCppBackend, rpc
    from edgellm.runtime import rpc_servers

    endpoints = rpc_servers.checked(settings.rpc)
    rpc_servers.ask(endpoints)  # native code would end the process without a word
    watched: list[float] = []

    def progress(fraction: float) -> None:
        if not watched and fraction > 0:
            watched.append(fraction)
            rpc.watch(endpoints)

    backend = LlamaCppBackend.load(path, settings, progress)
    rpc.watch(endpoints)
    return backend


def build_id(settings: ModelSettings) -> str:
    """What measurements of a model loaded with `settings` depend on."""
    if settings.backend == "ik":
        from edgellm.backends import ik

        return ik.build_id()
    from edgellm.backends.llamacpp import build_id as stock

    return f"{stock()}; {settings.rpc} {settings.layer_split}" if settings.rpc else stock()
