"""Loads the model that drafts for another one, or says why the other goes without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from msgspec.structs import replace

from edgellm.backends.base import Backend, Limits
from edgellm.catalog import model_folder
from edgellm.config import ModelSettings
from edgellm.engine.speculative.draft_model import DraftModel, first_difference
from edgellm.engine.speculative.drafting import could_pay
from edgellm.errors import EdgeLLMError, OutOfMemory, Unsupported
from edgellm.fit.memory import memory
from edgellm.fit.placement import Placement
from edgellm.machine.memory import memory as memory_now
from edgellm.runtime import model_backend
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.step_memory import memory_of
from edgellm.telemetry import log

BuildDraft = Callable[[Limits], Backend]
"""Loads the draft for a target with these limits."""

Timed = Callable[[Mapping[int, float]], None]
"""Hears what the draft's steps take, in milliseconds by rows, whenever that was measured."""


@dataclass(frozen=True, slots=True)
class DraftSource:
    """Where a draft comes from, and who keeps what was measured of it."""

    build: BuildDraft
    timed: Timed = lambda milliseconds: None


_CELLS = 8192
_HEADROOM = 256 << 20
"""Bytes to be left free: what a step computes with, and whatever else runs here."""


def load_drafter(
    source: DraftSource, target: Backend, *, clock: Callable[[], float], prefix_cache: bool
) -> tuple[DraftModel | None, str]:
    """The drafter for `target`, or None and one sentence on why there is none.

    Never raises an EdgeLLMError: a model without a drafter answers as well.
    """
    try:
        draft = source.build(target.limits)
        try:
            _check(target, draft)
        except EdgeLLMError:
            draft.close()
            raise
    except EdgeLLMError as error:
        log.get("draft").warning("no draft model", reason=str(error))
        return None, f"Going on without a draft model: {error}"
    size = min(len(target.vocabulary), len(draft.vocabulary))
    model = DraftModel(draft, size, clock=clock, prefix_cache=prefix_cache)
    model.timed = source.timed
    return model, ""


def draft_settings(target: ModelSettings, limits: Limits) -> ModelSettings:
    """How to load a drafter: no more sequences than decode at once, and half of the cells where those are many.

    A context that needs more cells than that is dear to draft for, and copies within it are guessed without a model.
    """
    return replace(
        target,
        context=min(limits.cells, max(_CELLS, limits.cells // 2)),
        slots=target.parallel,
        rpc="",  # each token of it would go over the network and back
        layer_split="",
        gpu_layers=0 if target.gpu_layers == 0 else -1,
    )


def load_draft(path: Path, settings: ModelSettings, limits: Limits) -> Backend:
    """The model at `path` as a drafter. Raises LoadError, OutOfMemory before the machine begins to swap."""
    settings = replace(draft_settings(settings, limits), backend="llama.cpp")  # the fork was not tried with this file
    needed, free = _footprint(path, settings) + _HEADROOM, _free_memory()
    if needed > free:
        raise OutOfMemory(
            f"{path.name} would take {needed >> 20:,} MiB of memory and {max(free, 0) >> 20:,} are free. "
            "Close other programs, or set a smaller context."
        )
    return model_backend.load(path, settings)


def _footprint(path: Path, settings: ModelSettings) -> int:
    """Bytes that it will take. Raises LoadError."""
    if path.is_dir():
        shared, slots = model_folder.kind(path) != "onnx", settings.slots
        placed = Placement(context=settings.context, slots=slots, parallel=slots, batch=settings.batch, shared=shared)
        use = memory(facts_of(path), placed)
        return use.total - use.host
    from edgellm.backends.llamacpp.footprint import footprint

    return footprint(path, settings)


def draft_source(path: Path, settings: ModelSettings, target_ms: Mapping[int, float]) -> DraftSource | None:
    """The model at `path` as a draft for a target whose steps take `target_ms` by rows, as far as that is known.

    None where its own steps were measured here before and it could not pay even if nearly all it guessed came true:
    then it is not worth its memory.
    """
    remembered = memory_of(path, draft_settings(settings, Limits(_CELLS, settings.slots, settings.batch, 1)))
    if target_ms and not could_pay(target_ms, remembered.read()):
        log.get("draft").info("the draft model is left out: its steps were seen to take too long", path=path.name)
        return None
    return DraftSource(partial(load_draft, path, settings), remembered.write)


def _free_memory() -> int:
    """Bytes this process may still take. Mapped weights count as available to the system, but are in use by us."""
    now = memory_now()
    mapped = getattr(psutil.Process().memory_info(), "shared", 0)
    return min(now.available, now.available if now.left is None else now.left) - int(mapped)


def _check(target: Backend, draft: Backend) -> None:
    if not (draft.capabilities.trim and target.capabilities.trim):
        who = draft if target.capabilities.trim else target
        raise Unsupported(f"{who.info.name} keeps a running state, which cannot go back when a guess was wrong")
    if (difference := first_difference(target.vocabulary, draft.vocabulary)) is not None:
        token, wanted, found = difference
        raise Unsupported(
            f"{draft.info.name} has another tokenizer than {target.info.name}: "
            f"token {token} is {_shown(found)} instead of {_shown(wanted)}. Choose one of the same family."
        )


def _shown(piece: bytes) -> str:
    text = repr(piece.decode("utf-8", "backslashreplace"))
    return text if len(text) <= 40 else text[:36] + "...'"
