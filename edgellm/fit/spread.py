"""How a model's layers are spread over several devices, RPC servers among them: each as full as the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from msgspec.structs import replace

from edgellm.catalog.metadata import ModelFacts
from edgellm.fit.memory import compute_bytes, kv_bytes, state_bytes
from edgellm.fit.placement import Placement
from edgellm.fit.verdict import device_room
from edgellm.machine.machine import Machine

_PARTS = 2**20
"""How many parts of a device's room are told apart when all are to be equally full."""


def place(facts: ModelFacts, base: Placement, machine: Machine, *, wanted: int = -1) -> Placement:
    """`base` with as many of the last layers on the devices of `machine` as they have room for, at most `wanted`."""
    most = len(facts.layers) + 1
    most = most if wanted < 0 else min(wanted, most)
    rooms = [device_room(gpu) for gpu in machine.gpus]
    costs, each = _costs(facts, base), compute_bytes(facts, base, base.parallel)

    def too_many(count: int) -> bool:
        return count > 0 and not _filled(costs[-count:], rooms, each)

    count = max(0, bisect_right(range(most + 1), False, key=too_many) - 1)
    servers = sum(gpu.kind == "rpc" for gpu in machine.gpus)
    shares = spread(costs[-count:], rooms, each) if count else ()
    return replace(base, gpu_layers=count, shares=shares, servers=servers)


def spread(costs: Sequence[int], rooms: Sequence[int], each: int) -> tuple[int, ...]:
    """How many of the layers, whose bytes are `costs`, each device has, in order; () where they do not fit.

    `each` is what every device that has one takes besides. The fullest device is as empty as can be.
    """

    def filled(part: int) -> tuple[int, ...]:
        return _filled(costs, [room * part // _PARTS for room in rooms], each)

    return filled(bisect_left(range(_PARTS), True, key=lambda part: bool(filled(part))))


def _filled(costs: Sequence[int], rooms: Sequence[int], each: int) -> tuple[int, ...]:
    """One device after the other, each with all it has room for."""
    shares, at = [], 0
    for room in rooms:
        first, left = at, room - each
        while at < len(costs) and costs[at] <= left:
            left -= costs[at]
            at += 1
        shares.append(at - first)
    return tuple(shares) if at == len(costs) else ()


def _costs(facts: ModelFacts, placement: Placement) -> list[int]:
    """Bytes of each layer with its KV and state, and of the output."""
    layers = (
        layer.weights + kv_bytes(facts, placement, [layer]) + state_bytes(placement, [layer]) for layer in facts.layers
    )
    return [*layers, facts.output_bytes]
