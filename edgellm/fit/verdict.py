"""Whether what a model takes is there: it fits, it is tight, or it does not."""

from __future__ import annotations

from typing import Literal

from edgellm.fit.memory import MemoryUse
from edgellm.machine.machine import Machine

Verdict = Literal["fits", "tight", "no"]

EASY = 0.9
"""The part of the free memory that a model may take before it gets tight for everything else."""
GPU_RESERVE = 512 << 20
"""What a GPU is left with for its driver and its display."""


def verdict(use: MemoryUse, machine: Machine) -> Verdict:
    """Of the computer's memory and the GPU's; what the system can drop without harm only makes it tight."""
    if use.needed > machine.usable_memory or use.gpu > gpu_room(machine):
        return "no"
    return "fits" if use.total <= EASY * machine.usable_memory else "tight"


def gpu_room(machine: Machine) -> int:
    """Bytes that models may take on the GPUs, all together."""
    return sum(max(0, gpu.free - GPU_RESERVE) for gpu in machine.gpus)
