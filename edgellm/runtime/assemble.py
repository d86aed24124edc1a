"""Puts the rooms together: a name or path becomes a `Model`, fetched if need be, in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgellm import paths
from edgellm.catalog import catalog
from edgellm.config import ModelSettings, Settings
from edgellm.model import ModelInfo
from edgellm.request import SamplingParams
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.process_model import ProcessModel

Progress = Callable[[str, int, int], None]
"""Hears what is going on, bytes done, bytes in all."""

_BACKEND = "llama.cpp"
_SWITCH_INTERVAL_S = 0.0005
"""How long the event loop may keep the GIL from an engine thread that comes back from decoding."""


def open_model(name: str, settings: Settings, progress: Progress | None = None) -> ProcessModel:
    """The model of a name, alias or path, not loaded yet; fetched first where it is not on this machine.

    Blocks while it fetches. Raises ModelNotFound and DownloadError.
    """
    path, info = _locate(name, settings, progress)
    arguments = {
        "path": str(path),
        "name": info.name,
        "settings": msgspec.to_builtins(settings.model_settings()),
        "sampling": msgspec.to_builtins(info.sampling),
    }
    log_file = paths.logs_dir() / "worker.log"
    return ProcessModel(WorkerSpec(f"{__name__}:local_model", arguments), info, log_file)


def _locate(name: str, settings: Settings, progress: Progress | None) -> tuple[Path, ModelInfo]:
    """The file, and what is known of the model without loading it."""
    found = catalog.resolve(name)
    if isinstance(found, Path):
        return found.absolute(), ModelInfo(name=found.stem, backend=_BACKEND)
    from edgellm import download
    from edgellm.download.report import silent

    info = ModelInfo(name=found.name, backend=_BACKEND, sampling=found.sampling)
    return download.fetch(found, progress or silent, offline=settings.offline), info


def local_model(path: str, name: str, settings: dict[str, Any], sampling: dict[str, Any] | None = None) -> Any:
    """What a worker process hosts: the GGUF file at `path` as a `LocalModel` called `name`."""
    from edgellm.backends.llamacpp import LlamaCppBackend
    from edgellm.runtime.local_model import LocalModel

    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    chosen = msgspec.convert(settings, ModelSettings)
    # A worker whose engine has failed is of no use to anyone; its parent starts a fresh one for the next request.
    return LocalModel(
        lambda: LlamaCppBackend.load(Path(path), chosen),
        chosen,
        ModelInfo(name=name, backend=_BACKEND, sampling=msgspec.convert(sampling or {}, SamplingParams)),
        crashed=lambda: os._exit(70),
    )
