"""`Machine`: everything about this computer that decides what fits and how fast it runs."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from edgellm import paths
from edgellm.machine import bandwidth, cores, gpus, measurements, memory, power, processor, sysctl
from edgellm.machine.gpus import Gpu
from edgellm.machine.measurements import Measurements
from edgellm.machine.power import Power

__all__ = ["Gpu", "Machine", "Power", "detect"]

PATIENCE_S = 0.2
"""How long the drivers and tools that are asked may take, all side by side."""
GIB = 2**30

T = TypeVar("T")

_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    def apple_silicon(self) -> bool:
        return self.system == "Darwin" and self.arch == "arm64"

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
        own = (gpu for gpu in self.gpus if gpu.kind != "rpc")
        gpus = sorted(f"{gpu.kind} {gpu.name} {round(gpu.total / GIB)}" for gpu in own)
        cores = f"{self.physical_cores} {self.performance_cores} {self.logical_cores}"
        parts = (self.arch, self.processor, cores, str(round(self.total_memory / GIB)), *gpus)
        return blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=6).hexdigest()


def detect(
    models_dir: Path | None = None,
    *,
    kept: Measurements | None = None,
    patience_s: float = PATIENCE_S,
    root: Path = Path("/"),
) -> Machine:
    """This computer as it is now. Never raises.

    Takes less than 0.3 s, but seconds where the driver of a GPU sleeps and was never heard before. `models_dir` is
    where the free disk is counted; `root` is where Linux's `/proc`, `/sys` and `/dev` are.
    """
    deadline = time.monotonic() + patience_s
    store = kept or _own_measurements()
    search = _or(lambda: gpus.Search(store, root), None)  # first: the probes run while the rest is read
    told = _MacTold() if platform.system() == "Darwin" else None
    now = _or(lambda: memory.memory(root), memory.Memory(0, 0))
    free_disk = _or(lambda: shutil.disk_usage(_existing(models_dir or paths.models_dir())).free, 0)
    values = _or(lambda: told.sysctl(deadline), _NOTHING) if told else _NOTHING
    counted = _or(lambda: cores.cores(root, values), cores.Cores(1, 1, 1, 1))
    shared = gpus.Memory(now.total, now.available)
    machine = Machine(
        system=platform.system(),
        arch=processor.arch(),
        processor=_or(lambda: processor.name(root, values), processor.arch()),
        total_memory=now.total,
        available_memory=now.available,
        memory_limit=now.limit,
        limit_left=now.left,
        physical_cores=counted.physical,
        performance_cores=counted.performance,
        logical_cores=counted.logical,
        usable_cores=counted.usable,
        simd=_or(lambda: processor.simd(root, values), ()),
        gpus=_or(lambda: search.found(deadline, shared, values) if search else (), ()),
        power=_or(power.power, None),
        thermal=_or(lambda: told.thermal(deadline) if told else power.linux_thermal(root), None),
        free_disk=free_disk,
    )
    return msgspec.structs.replace(machine, bandwidth=_or(lambda: bandwidth.known(machine, store), None))


class _MacTold:
    """What macOS tells through programs of its own, all under way from the start."""

    def __init__(self) -> None:
        self._sysctl = sysctl.started()
        self._pressure, self._limits = power.mac_thermal_commands()

    def sysctl(self, deadline: float) -> Mapping[str, str]:
        return sysctl.values(self._sysctl.output(deadline))

    def thermal(self, deadline: float) -> str | None:
        return power.mac_thermal(self._pressure.output(deadline), self._limits.output(deadline))


def _own_measurements() -> Measurements:
    """This user's; kept nowhere that lasts if there is no cache directory."""
    elsewhere = Path(tempfile.gettempdir()) / "edgellm-measurements"
    return _or(measurements.kept, Measurements(elsewhere))


def _or(ask: Callable[[], T], instead: T) -> T:
    """The answer; `instead` where the system answers in a way that nobody foresaw: no probe is worth an error."""
    try:
        return ask()
    except Exception:
        return instead


def _existing(path: Path) -> Path:
    """`path`, or the nearest directory above it that there is."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
