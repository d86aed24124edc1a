"""What NVIDIA's own tool tells of its GPUs, for systems whose library cannot be loaded by name."""

from __future__ import annotations

from typing import Any

WORDS = (
    "nvidia-smi",
    "--query-gpu=name,uuid,memory.total,memory.free,driver_version,pci.device_id",
    "--format=csv,noheader,nounits",
)
_MIB = 2**20


def gpus(output: str) -> list[dict[str, Any]]:
    """One GPU a line, as `cuda_probe` has them; lines that are none are passed over."""
    rows = ([field.strip() for field in line.split(",")] for line in output.splitlines())
    return [_gpu(*row) for row in rows if len(row) == 6]


def _gpu(name: str, uuid: str, total: str, free: str, driver: str, device: str) -> dict[str, Any]:
    own = total.isdigit()  # `[N/A]` on boards whose GPU has no memory of its own
    number = device.removeprefix("0x").lower().rjust(8, "0")
    return {
        "name": name,
        "uuid": uuid,
        "device": f"{number[4:]}:{number[:4]}",
        "total": int(total) * _MIB if own else 0,
        "free": int(free) * _MIB if own and free.isdigit() else 0,
        "unified": not own,
        "driver": driver,
    }
