"""Plans in words: sizes as people write them, the reasons of a plan, and what to do where nothing fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgellm.catalog.metadata import ModelFacts
from edgellm.config import ModelSettings
from edgellm.fit.placement import default_context
from edgellm.fit.verdict import gpu_room
from edgellm.machine.machine import Machine

if TYPE_CHECKING:
    from edgellm.fit.plan import Plan

_BASES = {
    "measured": "the speed is that of an earlier run of this model here",
    "corrected": "the speed follows from what other models did on this machine",
    "estimated": "the speed is a guess; it gets better with the first run of any model here",
}


def size(count: float) -> str:
    """Bytes as `870 MB` or `4.7 GB`; units of a thousand, as disks and the hub count."""
    return f"{count / 1e9:,.1f} GB" if count >= 999.5e6 else f"{count / 1e6:,.0f} MB"


def tokens(count: int) -> str:
    return f"{count:,} tokens"


def reasons(plan: Plan, facts: ModelFacts, machine: Machine, settings: ModelSettings) -> tuple[str, ...]:
    """Why the plan is as it is, a sentence without its full stop each."""
    found = [plan.backend.reason, _memory(plan, machine), _context(plan, facts, settings)]
    found += [_graphics(plan, facts, machine), _slots(plan, settings), _BASES[plan.speed.basis]]
    if plan.draft:
        found.append(f"{plan.draft} may guess ahead for it, where it is on this machine")
    return tuple(text for text in found if text)


def _memory(plan: Plan, machine: Machine) -> str:
    use, room = plan.memory, machine.usable_memory
    on_gpu = use.gpu and (plan.placement.servers or not any(gpu.unified for gpu in machine.gpus))
    owner = "RPC servers have" if plan.placement.servers == len(machine.gpus) else "GPU and the RPC servers have"
    owner = owner if plan.placement.servers else "GPU has"
    beside = f", and {size(use.gpu)} of the {size(gpu_room(machine))} that the {owner} to spare" if on_gpu else ""
    text = f"it takes {size(use.total)} of the {size(room)} that are free{beside}"
    dropped = use.total - use.needed
    if plan.verdict == "tight" and use.total > room and dropped:
        text += f"; {size(dropped)} of it is a second copy of weights that the system can drop"
    return text


def _context(plan: Plan, facts: ModelFacts, settings: ModelSettings) -> str:
    if settings.context:
        return f"a context of {tokens(plan.context)} was asked for"
    if plan.context < default_context(facts):
        return f"the context is cut to {tokens(plan.context)}, because there is no memory for more"
    if plan.longest > plan.context:
        return f"a context of {tokens(plan.context)}; up to {tokens(plan.longest)} would fit"
    return f"a context of {tokens(plan.context)}"


def _graphics(plan: Plan, facts: ModelFacts, machine: Machine) -> str:
    count, placed = len(facts.layers), plan.placement
    if placed.servers:
        return layers(plan, facts, machine)
    if not placed.gpu_layers:
        return ""
    if placed.cpu_experts:
        return "the experts stay in the computer's memory, all else is on the GPU"
    if placed.gpu_layers > count:
        return "all of it is on the GPU"
    return f"{placed.gpu_layers - 1} of {count} layers and the output are on the GPU, which has no memory for more"


def layers(plan: Plan, facts: ModelFacts, machine: Machine) -> str:
    """Where they are, with RPC servers among those that have some; the output counts as one more layer."""
    shares = [(count, gpu.name) for count, gpu in zip(plan.placement.shares, machine.gpus, strict=False) if count]
    here = len(facts.layers) + 1 - plan.placement.gpu_layers
    shares += [(here, "this computer")] if here else []
    if len(shares) == 1 and not here:
        return f"all layers are on {shares[0][1]}"
    return f"of {len(facts.layers) + 1} layers " + ", ".join(f"{count} are on {name}" for count, name in shares)


def _slots(plan: Plan, settings: ModelSettings) -> str:
    if plan.placement.slots >= settings.slots:
        return ""
    own = "state" if plan.placement.shared else "context"
    return f"only {plan.placement.slots} sequences are kept at a time, because each has a {own} of its own"
