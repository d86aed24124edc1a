"""How much memory the models of a pool may take together, and the machine as each of them is planned for."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from msgspec.structs import replace

from edgellm.fit.verdict import gpu_room
from edgellm.machine import memory
from edgellm.machine.machine import Machine, detect
from edgellm.runtime.pool_policy import Size, total

MIB = 2**20
_MAPPED_COUNTS_AS_FREE = sys.platform == "linux"
"""Whether the system counts pages of mapped files that are in use among those that are free."""


class Held(Size, frozen=True):
    """What one loaded model takes; `mapped` bytes of its `memory` are pages of its file."""

    mapped: int = 0


class Room:
    """`limit` is in bytes, 0 for all that the machine has free. What other programs take is not there."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._gpu = 0

    def measure(self, held: Iterable[Held]) -> Size:
        """For all models together, those that are `held` included. Quick; the GPU is as `machine` last saw it."""
        now = memory.memory()
        free = now.available if now.left is None else min(now.available, now.left)
        return self._with(free, held)

    def machine(self, held: Iterable[Held], stays: Size) -> Machine:
        """This computer as if no model were loaded but those that have to stay, which take `stays`.

        Blocks for up to a second.
        """
        held = list(held)
        found = detect()
        self._gpu = gpu_room(found) + sum(each.gpu for each in held)
        room = self._with(found.usable_memory, held) - stays
        more = sum(each.gpu for each in held) - stays.gpu
        gpus = tuple(replace(gpu, free=max(0, gpu.free + (more if i == 0 else 0))) for i, gpu in enumerate(found.gpus))
        return replace(found, available_memory=max(0, room.memory), limit_left=None, gpus=gpus)

    def _with(self, free: int, held: Iterable[Held]) -> Size:
        held = list(held)
        mapped = sum(each.mapped for each in held) if _MAPPED_COUNTS_AS_FREE else 0
        memory_bytes = free + total(held).memory - mapped
        return Size(min(memory_bytes, self._limit) if self._limit else memory_bytes, self._gpu, servers=1)
