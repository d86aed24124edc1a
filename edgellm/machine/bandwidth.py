"""How fast this computer reads its memory: the limit of how fast a language model writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edgellm.machine.measurements import Key, Measurements

if TYPE_CHECKING:
    from edgellm.machine.machine import Machine

KIND = "bandwidth"
SECONDS = 0.3
MIB = 2**20
THREAD_BYTES = 48 * MIB
"""Read by one thread: several times its share of the largest caches, 12 MiB a core."""

_PIECE = 4 * MIB


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, in bytes a second."""

    bytes_per_s: float
    measured_at: float
    """Seconds since 1970."""


def measured(machine: Machine, kept: Measurements) -> float:
    """Bytes a second, as measured before on a machine like this one, or measured now and kept; takes half a second."""
    return known(machine, kept) or measure(machine, kept)


def known(machine: Machine, kept: Measurements) -> float | None:
    """As measured before; None if never."""
    found = kept.read(KIND, _key(machine), Bandwidth)
    return found.bytes_per_s if found is not None and found.bytes_per_s > 0 else None


def measure(machine: Machine, kept: Measurements) -> float:
    """Measured now, whatever is known; the better of the two is kept, because only other programs make it worse."""
    now = read_test(machine.threads, _size(machine))
    best = max(now, known(machine, kept) or 0.0)
    kept.write(KIND, _key(machine), Bandwidth(bytes_per_s=best, measured_at=time.time()))
    return best


def read_test(
    threads: int, size: int, seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Bytes a second that `threads` read together, each its own part of `size` bytes, for about `seconds`."""
    import numpy as np

    part = max(_PIECE, size // threads // _PIECE * _PIECE)
    totals = [0.0] * threads
    # The threads fill their parts themselves: on machines of several sockets memory lies near who writes it first.
    ready = threading.Barrier(threads)

    def read(index: int) -> None:
        pieces: Any = np.ones((part // _PIECE, _PIECE // 8), dtype=np.uint64)
        ready.wait()
        totals[index] = _rate(pieces, np.bitwise_or.reduce, seconds, clock)

    workers = [threading.Thread(target=read, args=(index,), daemon=True) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(totals)


def _rate(pieces: Any, reduce: Callable[[Any], Any], seconds: float, clock: Callable[[], float]) -> float:
    """Bytes a second of one thread going round its pieces. The reduction lets other threads run meanwhile."""
    count, started = 0, clock()
    while (now := clock()) - started < seconds or count == 0:
        reduce(pieces[count % len(pieces)])
        count += 1
    return float(count * _PIECE / max(now - started, 1e-9))


def _size(machine: Machine) -> int:
    """At most an eighth of what is free: measuring must not push anything out."""
    return min(machine.threads * THREAD_BYTES, machine.usable_memory // 8)


def _key(machine: Machine) -> Key:
    return Key("", "read", machine.threads, machine.id)
