"""The GPUs of this computer and their memory, as the drivers' own tools and libraries tell."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["cuda", "metal", "rocm", "vulkan"]


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU and the way it is reached; memory in bytes, what a process may use of it (Metal: the working set)."""

    name: str
    kind: Kind
    total: int
    free: int
    unified: bool = False
    """Its memory is the computer's own: what is used here is missing there."""
    driver: str = ""
