"""`ProcessEmbedder`: an `Embedder` in a process of its own, so that a crash costs its requests and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edgellm.embedder import Embeddings, Ranking, Text
from edgellm.model import ModelInfo
from edgellm.runtime import frames
from edgellm.runtime.frames import Numbers, WorkerSpec
from edgellm.runtime.worker_slot import WorkerSlot

GROUP = 256
"""Inputs that are sent at once: their vectors fit into a frame, and others get their turn in between."""


class ProcessEmbedder:
    """The embedder of `spec`; its worker is started when needed and again after it died. See `WorkerSlot`."""

    def __init__(self, spec: WorkerSpec, info: ModelInfo | None = None, log: Path | None = None) -> None:
        self._slot = WorkerSlot(spec, info, log)

    @property
    def info(self) -> ModelInfo:
        return self._slot.info

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return self._slot.running.pid if self._slot.running else None

    async def start(self) -> None:
        await self._slot.loaded()

    async def embed(
        self, inputs: Sequence[Text], *, dimensions: int | None = None, truncate: bool = False
    ) -> Embeddings:
        found = []
        for first in range(0, len(inputs), GROUP):
            group = list(inputs[first : first + GROUP])
            found.append(await self._ask(partial(_embed, group, dimensions, truncate, first)))
        tokens = tuple(count for each in found for count in each.tokens)
        vectors = [np.frombuffer(each.data, "<f4").reshape(len(each.tokens), -1) for each in found]
        rows = np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)
        return Embeddings(rows, tokens, sum(each.dropped for each in found))

    async def rerank(
        self, query: str, documents: Sequence[str], *, raw: bool = False, truncate: bool = False
    ) -> Ranking:
        found = []
        for first in range(0, len(documents), GROUP):
            group = list(documents[first : first + GROUP])
            found.append(await self._ask(partial(_rank, query, group, raw, truncate, first)))
        tokens = tuple(count for each in found for count in each.tokens)
        scores = [np.frombuffer(each.data, "<f4") for each in found]
        row = np.concatenate(scores) if scores else np.zeros(0, np.float32)
        return Ranking(row, tokens, sum(each.dropped for each in found))

    async def aclose(self) -> None:
        await self._slot.aclose()

    async def _ask(self, message: Callable[[int], frames.Call]) -> Numbers:
        worker = await self._slot.loaded()
        numbers = await worker.call(message)
        assert isinstance(numbers, Numbers)
        return numbers


def _embed(group: list[Text], dimensions: int | None, truncate: bool, first: int, id: int) -> frames.Call:
    return frames.Embed(id, group, dimensions, truncate, first)


def _rank(query: str, group: list[str], raw: bool, truncate: bool, first: int, id: int) -> frames.Call:
    return frames.Rank(id, query, group, raw, truncate, first)
