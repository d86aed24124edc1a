"""How much of a model to put on the GPU: all of it, its last layers, or all but the routed experts."""

from __future__ import annotations

from bisect import bisect_right

from msgspec.structs import replace

from edgellm.catalog.metadata import ModelFacts
from edgellm.fit import spread
from edgellm.fit.memory import memory
from edgellm.fit.placement import Placement
from edgellm.fit.speed import Known, predict
from edgellm.fit.verdict import gpu_room
from edgellm.machine.machine import Machine


def place(facts: ModelFacts, base: Placement, machine: Machine, known: Known = (), *, wanted: int = -1) -> Placement:
    """`base` with as many layers on the GPU as fit, of `wanted` (-1: all, and the output).

    A mixture of experts that does not fit whole may leave its experts to the processor, where that is faster than
    leaving whole layers: the rest of each layer is small, and all of it is used for every token.
    """
    if any(gpu.kind == "rpc" for gpu in machine.gpus):
        return spread.place(facts, base, machine, wanted=wanted)
    most = len(facts.layers) + 1
    most = most if wanted < 0 else min(wanted, most)
    room = gpu_room(machine)
    counts = range(most + 1)
    unified = is_unified(machine)

    def on_gpu(count: int) -> int:
        return memory(facts, replace(base, gpu_layers=count), unified=unified).gpu

    layers = replace(base, gpu_layers=max(0, bisect_right(counts, room, key=on_gpu) - 1))
    if not facts.experts or layers.gpu_layers == most or unified:
        return layers
    experts = replace(base, gpu_layers=most, cpu_experts=True)
    if memory(facts, experts).gpu > room:
        return layers
    faster = predict(facts, experts, machine, known).decode > predict(facts, layers, machine, known).decode
    return experts if faster else layers


def is_unified(machine: Machine) -> bool:
    """Whether the GPU works in the computer's own memory."""
    return any(gpu.unified for gpu in machine.gpus)
