"""Plans how a model on this machine is loaded, from its header, the machine and what was measured; refuses in time."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgellm.catalog.metadata import ModelFacts
from edgellm.config import ModelSettings, Settings
from edgellm.errors import LoadError, ModelNotFound, NotEnoughMemory
from edgellm.fit import words
from edgellm.fit.nearest import nearest
from edgellm.fit.plan import Plan, Planner
from edgellm.fit.speed import KIND
from edgellm.machine.machine import Machine
from edgellm.machine.measurements import DecodeSpeed, Measurements, kept
from edgellm.runtime import installed
from edgellm.runtime.known_facts import facts_of


class Planned(msgspec.Struct, frozen=True):
    """A model's facts, the plan for them, and the worker's settings as the plan completes them."""

    facts: ModelFacts
    plan: Plan
    settings: ModelSettings


def planner(machine: Machine, settings: ModelSettings, measurements: Measurements | None = None) -> Planner:
    """For `machine`, with all that was measured on it and what its backend can use."""
    store = measurements or kept()
    offload = any(gpu.kind == "rpc" for gpu in machine.gpus) or _can_offload(machine, store)
    known = store.all(KIND, DecodeSpeed)
    return Planner(machine, settings, known, offload=offload, installed=installed.names())


def planned(path: Path, name: str, settings: Settings, machine: Machine, chosen: ModelSettings) -> Planned | None:
    """The plan for the model at `path`, where its settings `chosen` leave a choice.

    None where the header cannot be read: whoever loads the model says why. Raises NotEnoughMemory.
    """
    try:
        facts = facts_of(path)
    except (LoadError, ModelNotFound):
        return None
    planning = planner(machine, chosen)
    try:
        own = identity(path)
    except OSError:
        own = ""
    plan = planning.plan(facts, model=name, identity=own)
    if plan.verdict == "no" and settings.memory_check:
        raise _refusal(plan, facts, planning)
    return Planned(facts, plan, msgspec.structs.replace(chosen, **plan.changes(chosen)))


def identity(path: Path) -> str:
    """The name that the model at `path` has in measurements."""
    from edgellm.runtime import model_backend

    return model_backend.identity(path)


def _refusal(plan: Plan, facts: ModelFacts, planning: Planner) -> NotEnoughMemory:
    needed, room = plan.memory.needed, planning.machine.usable_memory
    besides = f" besides {words.size(plan.memory.remote)} on RPC servers" if plan.memory.remote else ""
    return NotEnoughMemory(
        f"{plan.model} needs {words.size(needed)} of memory{besides} with a context of {words.tokens(plan.context)}, "
        f"and {words.size(room)} are free. {nearest(plan, facts, planning)} "
        "EDGELLM_MEMORY_CHECK=false has it loaded all the same.",
        needed=needed,
        available=room,
    )


def _can_offload(machine: Machine, store: Measurements) -> bool:
    if not machine.gpus:
        return False
    build = installed.llamacpp_build(machine, store)
    return build is not None and build.offload
