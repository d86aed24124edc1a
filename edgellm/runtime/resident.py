"""`Resident`: what the pool keeps in memory, whatever it is for, and `Opened`: one of them with its price."""

from __future__ import annotations

from typing import Protocol

import msgspec

from edgellm.model import ModelInfo


class Resident(Protocol):
    """Something in a process of its own that is loaded, used and closed: a `Model` or an `Embedder`."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def pid(self) -> int | None:
        """Of the process that holds the memory; None before it runs and once it is gone."""
        ...

    async def start(self) -> None:
        """Load it. Raises EdgeLLMError; idempotent."""
        ...

    async def aclose(self) -> None:
        """Give all memory back. Idempotent."""
        ...


class Opened(msgspec.Struct, frozen=True):
    """A resident that is not loaded yet, and the bytes that it will take of main memory and of the GPU's own.

    Of `memory_bytes`, `mapped_bytes` are pages of a file, which the system counts as free although they are in use.
    `droppable_bytes` come on top of them: pages that are seen in use, but never needed again.
    """

    resident: Resident
    memory_bytes: int
    gpu_bytes: int = 0
    mapped_bytes: int = 0
    droppable_bytes: int = 0
    on_servers: bool = False
    """Whether RPC servers hold some of it."""
