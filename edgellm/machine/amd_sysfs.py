"""AMD's GPUs as the Linux kernel's driver tells of them, where ROCm can reach them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgellm.machine import files

_AMD = "0x1002"
_CARVE_OUT = 2 * 2**30
"""An integrated GPU's own part of the memory is rarely more, a separate card's is hardly less."""


def gpus(root: Path = Path("/")) -> list[dict[str, Any]]:
    """Empty without `/dev/kfd`, the door that ROCm goes through."""
    return list(_cards(root)) if (root / "dev/kfd").exists() else []


def _cards(root: Path) -> Iterator[dict[str, Any]]:
    for card in sorted((root / "sys/class/drm").glob("card[0-9]*")):
        device = card / "device"
        if "-" in card.name or files.text(device / "vendor") != _AMD:  # card0-DP-1 is a connector
            continue
        own, used = files.whole(device / "mem_info_vram_total"), files.whole(device / "mem_info_vram_used")
        if own:
            yield _gpu(device, own, used or 0)


def _gpu(device: Path, own: int, used: int) -> dict[str, Any]:
    shared, shared_used = files.whole(device / "mem_info_gtt_total") or 0, files.whole(device / "mem_info_gtt_used")
    integrated = own <= _CARVE_OUT and shared > own
    total, taken = (own + shared, used + (shared_used or 0)) if integrated else (own, used)
    number = files.text(device / "device").removeprefix("0x")
    return {
        "name": files.text(device / "product_name") or f"AMD GPU 1002:{number}",
        "device": f"1002:{number}",
        "total": total,
        "free": max(0, total - taken),
        "unified": integrated,
        "driver": "amdgpu",
    }
