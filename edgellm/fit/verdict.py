"""Whether what a model takes is there: it fits, it is tight, or it does not."""

from __future__ import annotations

from typing import Literal

from edgellm.fit.memory import MemoryUse
from edgellm.machine.machine import Gpu, Machine

Verdict = Literal["fits", "tight", "no"]

EASY = 0.9
"""The part of the free memory that a model may take before it gets tight for everything else."""
GPU_RESERVE = 512 << 20
"""What a GPU is left with for its driver and its display."""
UNTOLD = 0.25
"""The part of another computer's memory that its system and its programs have, where nobody says how much it is."""


def verdict(use: MemoryUse, machine: Machine) -> Verdict:
    """Of the computer's memory and the GPU's; what the system can drop without harm only makes it tight."""
    if use.needed > machine.usable_memory or use.gpu > gpu_room(machine):
        return "no"
    return "fits" if use.total <= EASY * machine.usable_memory else "tight"


def gpu_room(machine: Machine) -> int:
    """Bytes that models may take on the GPUs, all together."""
    return sum(map(device_room, machine.gpus))


def device_room(gpu: Gpu) -> int:
    """Bytes that models may take on one of them, or on an RPC server.

    A server that computes on its processor tells the whole of its memory as free: not all of that can be so.
    """
    taken = round(UNTOLD * gpu.total) if gpu.kind == "rpc" and gpu.free >= gpu.total else 0
    return max(0, gpu.free - max(GPU_RESERVE, taken))
