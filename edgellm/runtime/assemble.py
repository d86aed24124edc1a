"""Puts the rooms together: a name or path becomes a `Model`, fetched if need be, in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from edgellm import paths
from edgellm.catalog import catalog
from edgellm.config import ModelSettings, Settings
from edgellm.errors import UnsupportedModel
from edgellm.fit import words
from edgellm.machine.machine import Machine, detect
from edgellm.machine.measurements import kept
from edgellm.model import ModelInfo
from edgellm.request import SamplingParams
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.locate import Located, locate
from edgellm.runtime.native_choice import STOCK, Native, native_for
from edgellm.runtime.planned import planned
from edgellm.runtime.process_model import ProcessModel
from edgellm.runtime.rpc_servers import with_servers
from edgellm.runtime.speed_watch import describe, watched
from edgellm.runtime.threads import threads

if TYPE_CHECKING:
    from edgellm.backends.base import Backend
    from edgellm.fit.plan import Plan

Progress = Callable[[str, int, int], None]
"""Hears what is going on, bytes done, bytes in all."""

_BACKEND = "llama.cpp"
_SWITCH_INTERVAL_S = 0.0005
"""How long the event loop may keep the GIL from an engine thread that comes back from decoding."""


def open_model(name: str, settings: Settings, progress: Progress | None = None) -> ProcessModel:
    """The model of a name, alias or path, not loaded yet; fetched first where it is not on this machine.

    Blocks while it fetches. Why it was chosen of several is in `info.notes`. Raises ModelNotFound, DownloadError, and
    NotEnoughMemory unless the settings forbid.
    """
    found = locate(name, settings, progress)
    return open_located(found, settings, detect(), progress).model


class Assembled(NamedTuple):
    """A model that is not loaded yet, the plan for it if its header tells enough, and the file of its draft model."""

    model: ProcessModel
    plan: Plan | None
    draft: Path | None


def open_located(found: Located, settings: Settings, machine: Machine, progress: Progress | None = None) -> Assembled:
    """A model that lies on this machine, planned for `machine`.

    Blocks where its draft model must be fetched. Raises as `open_model` does.
    """
    if found.kind == "onnx":
        raise UnsupportedModel(f"{found.path} makes embeddings and writes no text. Name a model that does.")
    notes = (found.reason,) if found.reason else ()
    info = ModelInfo(name=found.name, backend=_BACKEND, sampling=found.sampling, notes=notes)
    machine = with_servers(machine, settings.rpc, offline=settings.offline)
    chosen = msgspec.structs.replace(settings.model_settings(), threads=threads(settings, machine))
    native = _native(found, chosen, machine, progress)
    chosen = msgspec.structs.replace(chosen, backend=native.name)
    if native.name != STOCK:
        info = msgspec.structs.replace(info, notes=(*info.notes, f"{native.reason}."))
    plan = planned(found.path, found.name, settings, machine, chosen)
    arguments: dict[str, Any] = {
        "path": str(found.path),
        "name": info.name,
        "settings": msgspec.to_builtins(plan.settings if plan is not None else chosen),
        "sampling": msgspec.to_builtins(info.sampling),
    }
    if plan is not None and plan.plan.placement.servers:
        info = msgspec.structs.replace(info, notes=(*info.notes, f"{words.layers(plan.plan, plan.facts, machine)}."))
    if plan is not None:
        arguments["watch"] = describe(plan.facts, plan.plan.placement)
    if (draft := _draft(found, settings, progress)) is not None:
        arguments |= {"draft": str(draft), "draft_named": settings.draft != "auto"}
    log_file = paths.logs_dir() / "worker.log"
    spec = WorkerSpec(f"{__name__}:local_model", arguments, growth=settings.prefix_memory << 20)
    return Assembled(ProcessModel(spec, info, log_file), plan.plan if plan is not None else None, draft)


def _native(found: Located, chosen: ModelSettings, machine: Machine, progress: Progress | None) -> Native:
    def tell() -> None:
        if progress is not None:
            progress(f"trying {found.name} on two libraries, once, to take the faster", 0, 0)

    return native_for(found.path, chosen, machine, kept(), telling=tell)


def _draft(model: Located, settings: Settings, progress: Progress | None) -> Path | None:
    """The file of the model that guesses ahead for `model`; fetched only where the settings name it."""
    if settings.draft == "none" or settings.speculation in ("off", "ngram"):
        return None
    if settings.draft != "auto":
        return locate(settings.draft, settings, progress).path
    if model.entry is None or model.entry.draft is None:
        return None
    from edgellm import download

    held = download.held(catalog.current().entries[model.entry.draft].at())
    return held.path if held is not None else None


def local_model(
    path: str,
    name: str,
    settings: dict[str, Any],
    sampling: dict[str, Any] | None = None,
    draft: str | None = None,
    draft_named: bool = True,
    watch: dict[str, Any] | None = None,
) -> Any:
    """What a worker process hosts: the GGUF file at `path` as a `LocalModel` called `name`.

    The model in the file `draft`, if given, guesses ahead for it; unless somebody named it, it is left on disk where
    it was seen that it cannot pay. With `watch` (see `speed_watch.describe`) its speed
    is kept for later plans.
    """
    from edgellm.runtime import gguf_backend
    from edgellm.runtime.drafter import llamacpp_source
    from edgellm.runtime.local_model import LocalModel
    from edgellm.runtime.step_memory import llamacpp_memory

    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    chosen = msgspec.convert(settings, ModelSettings)
    remembered = llamacpp_memory(Path(path), chosen)

    def load() -> Backend:
        backend = gguf_backend.load(Path(path), chosen)
        return watched(backend, Path(path), chosen, watch, kept()) if watch else backend

    # A worker whose engine has failed is of no use to anyone; its parent starts a fresh one for the next request.
    return LocalModel(
        load,
        chosen,
        ModelInfo(name=name, backend=_BACKEND, sampling=msgspec.convert(sampling or {}, SamplingParams)),
        crashed=lambda: os._exit(70),
        draft=llamacpp_source(Path(draft), chosen, {} if draft_named else remembered.read()) if draft else None,
        remembered=remembered,
    )
