"""`Machine`: everything about this computer that decides what fits and how fast it runs."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from edgellm.machine.gpus import Gpu
from edgellm.machine.power import Power

__all__ = ["Gpu", "Machine", "Power"]

GIB = 2**30


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """This computer as this process may use it. Memory and disk in bytes; what is not known is empty, None or 0."""

    system: str
    """`Linux`, `Darwin` or `Windows`, as `platform.system()` says."""
    arch: str
    """`x86_64`, `arm64` or what else `platform.machine()` says, spelled alike on all systems."""
    processor: str
    total_memory: int
    available_memory: int
    """What all processes together can still take before the system swaps or kills."""
    memory_limit: int | None = None
    """The tightest limit on this process and its group (control group, job, rlimit)."""
    limit_left: int | None = None
    """What may still be taken below the limit that has the least left."""
    physical_cores: int
    performance_cores: int
    """The fast ones of the physical cores; all where they are alike."""
    logical_cores: int
    usable_cores: int = 0
    """Physical cores left by this process's affinity and its group's CPU quota; 0 where neither limits."""
    simd: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    power: Power | None = None
    """None where there is no battery."""
    thermal: str | None = None
    """How heat holds the processor back, in words; None where it does not, or nothing tells."""
    free_disk: int = 0
    """Where models are kept."""
    bandwidth: float | None = None
    """Bytes a second read from memory by all `threads`, as measured before; None if never."""

    @property
    def usable_memory(self) -> int:
        """What this process can still take: the least of what is available and what its limit leaves."""
        return self.available_memory if self.limit_left is None else min(self.available_memory, self.limit_left)

    @property
    def threads(self) -> int:
        """Threads that compute fastest: one for each fast core this process may use."""
        known = (self.physical_cores, self.performance_cores, self.usable_cores)
        return max(1, min((count for count in known if count), default=1))

    @property
    def id(self) -> str:
        """Twelve characters that stay the same while the hardware that decides speed does.

        The memory counts in whole GiB, because firmware and kernels reserve a little more or less of it at each start.
        """
        gpus = sorted(f"{gpu.kind} {gpu.name} {round(gpu.total / GIB)}" for gpu in self.gpus)
        cores = f"{self.physical_cores} {self.performance_cores} {self.logical_cores}"
        parts = (self.arch, self.processor, cores, str(round(self.total_memory / GIB)), *gpus)
        return blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=6).hexdigest()
