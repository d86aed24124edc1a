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
from edgellm.errors import NotEnoughMemory, UnsupportedModel
from edgellm.fit import words
from edgellm.fit.backend_choice import OF_FORMAT
from edgellm.machine.machine import Machine, detect
from edgellm.machine.measurements import kept
from edgellm.model import Model, ModelInfo
from edgellm.runtime import upstreams
from edgellm.runtime.chosen_backend import Chosen, chosen_for
from edgellm.runtime.explanation import Explanation, explained
from edgellm.runtime.frames import WorkerSpec
from edgellm.runtime.locate import Located, locate
from edgellm.runtime.native_choice import STOCK, distrust
from edgellm.runtime.native_trial import STEPS
from edgellm.runtime.planned import Planned, planned
from edgellm.runtime.process_model import ProcessModel
from edgellm.runtime.rpc_servers import with_servers
from edgellm.runtime.speed_watch import describe, watched
from edgellm.runtime.threads import threads
from edgellm.runtime.worker_slot import StandIn

if TYPE_CHECKING:
    from edgellm.backends.base import Backend
    from edgellm.fit.plan import Plan

Progress = Callable[[str, int, int], None]
"""Hears what is going on, bytes done, bytes in all."""

_GROWS = 2
"""Times the KV that a folder's model may take beside it: its libraries take memory in steps, and keep what they had."""
_SWITCH_INTERVAL_S = 0.0005
"""How long the event loop may keep the GIL from an engine thread that comes back from decoding."""


def open_model(name: str, settings: Settings, progress: Progress | None = None) -> Model:
    """The model of a name, alias or path, not loaded yet; fetched first where it is not on this machine. A model of an
    upstream is asked there.

    Blocks while it fetches. Why it was chosen of several is in `info.notes`. Raises ModelNotFound, DownloadError, and
    NotEnoughMemory unless the settings forbid, which names the upstream that has the model, if one does.
    """
    if (elsewhere := upstreams.meant(name, settings)) is not None:
        return upstreams.open_upstream(elsewhere, settings)
    return open_named(name, settings, progress).model


def open_named(name: str, settings: Settings, progress: Progress | None = None) -> Assembled:
    """As `open_model`, for models of this machine, with all that was decided on the way."""
    found = locate(name, settings, progress)
    try:
        return open_located(found, settings, detect(), progress)
    except NotEnoughMemory as error:
        raise upstreams.too_large(error, found.name, settings) from None


class Assembled(NamedTuple):
    """A model that is not loaded yet, the plan for it if its header tells enough, the file of its draft model, and why
    all is as it is."""

    model: ProcessModel
    plan: Plan | None
    draft: Path | None
    explanation: Explanation


def open_located(found: Located, settings: Settings, machine: Machine, progress: Progress | None = None) -> Assembled:
    """A model that lies on this machine, planned for `machine`.

    Blocks where its draft model must be fetched. Raises as `open_model` does.
    """
    if found.kind == "gguf":
        machine = with_servers(machine, settings.rpc, offline=settings.offline)
    elif settings.rpc:
        raise UnsupportedModel(
            f"{found.path} cannot be spread over RPC servers: only GGUF models can. Leave --rpc out."
        )
    chosen = msgspec.structs.replace(settings.model_settings(), threads=threads(settings, machine))
    backend = _backend(found, chosen, machine, progress)
    chosen = msgspec.structs.replace(chosen, backend=backend.setting)
    plan = planned(found.path, found.name, settings, machine, chosen)
    notes = [found.reason, f"{backend.reason}." if backend.told else ""]
    if plan is not None and plan.plan.placement.servers:
        notes.append(f"{words.layers(plan.plan, plan.facts, machine)}.")
    info = ModelInfo(
        name=found.name,
        backend=backend.name,
        quantization=plan.facts.quantization if plan is not None else "",
        parameters=plan.facts.parameters if plan is not None else 0,
        sampling=found.sampling,
        notes=tuple(note for note in notes if note),
    )
    arguments: dict[str, Any] = {
        "path": str(found.path),
        "info": msgspec.to_builtins(info),
        "settings": msgspec.to_builtins(plan.settings if plan is not None else chosen),
    }
    if plan is not None:
        arguments["watch"] = describe(plan.facts, plan.plan.placement)
    if (draft := _draft(found, settings, progress)) is not None:
        arguments |= {"draft": str(draft), "draft_named": settings.draft != "auto"}
    log_file = paths.logs_dir() / "worker.log"
    spec = WorkerSpec(f"{__name__}:local_model", arguments, growth=_growth(found, settings, plan))
    stand_in = _stand_in(found.path, spec, info, chosen, machine) if backend.replaceable else None
    return Assembled(
        ProcessModel(spec, info, log_file, stand_in),
        plan.plan if plan is not None else None,
        draft,
        explained(found, backend, plan, settings, machine),
    )


def _stand_in(path: Path, spec: WorkerSpec, info: ModelInfo, chosen: ModelSettings, machine: Machine) -> StandIn:
    """Stock llama.cpp, should the fork crash in spite of its trial."""
    stock = {
        "info": msgspec.to_builtins(msgspec.structs.replace(info, backend=OF_FORMAT["gguf"], notes=())),
        "settings": spec.arguments["settings"] | {"backend": STOCK},
    }
    note = f"{info.backend} crashed with this model, so llama.cpp computes it from now on."
    other = msgspec.structs.replace(spec, arguments=spec.arguments | stock)
    return StandIn(other, note, lambda code: distrust(path, chosen, machine, kept(), code))


def _backend(found: Located, chosen: ModelSettings, machine: Machine, progress: Progress | None) -> Chosen:
    def tell(step: int) -> None:
        if progress is not None:
            # The step stands in front: narrow terminals cut the end.
            progress(f"trying two libraries {step}/{STEPS}, once, to take the faster for {found.name}", 0, 0)

    return chosen_for(found, chosen, machine, telling=tell)


def _growth(found: Located, settings: Settings, plan: Planned | None) -> int:
    """What the worker may take once it has loaded: llama.cpp has all its KV by then, the others take it as they go."""
    if found.kind == "gguf" or plan is None:
        return settings.prefix_memory << 20
    use = plan.plan.memory
    return (settings.prefix_memory << 20) + _GROWS * (use.kv + use.state + use.compute) + use.weights


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
    info: dict[str, Any],
    settings: dict[str, Any],
    draft: str | None = None,
    draft_named: bool = True,
    watch: dict[str, Any] | None = None,
) -> Any:
    """What a worker process hosts: the model at `path` as a `LocalModel` that goes by `info`.

    The model at `draft`, if given, guesses ahead for it; unless somebody named it, it is left on disk where
    it was seen that it cannot pay. With `watch` (see `speed_watch.describe`) its speed
    is kept for later plans.
    """
    from edgellm.runtime import model_backend
    from edgellm.runtime.drafter import draft_source
    from edgellm.runtime.local_model import LocalModel
    from edgellm.runtime.step_memory import memory_of

    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    chosen = msgspec.convert(settings, ModelSettings)
    remembered = memory_of(Path(path), chosen)

    def load() -> Backend:
        backend = model_backend.load(Path(path), chosen)
        return watched(backend, Path(path), chosen, watch, kept()) if watch else backend

    # A worker whose engine has failed is of no use to anyone; its parent starts a fresh one for the next request.
    return LocalModel(
        load,
        chosen,
        msgspec.convert(info, ModelInfo),
        crashed=lambda: os._exit(70),
        draft=draft_source(Path(draft), chosen, {} if draft_named else remembered.read()) if draft else None,
        remembered=remembered,
    )
