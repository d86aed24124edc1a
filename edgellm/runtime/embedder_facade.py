"""What `edgellm.load_embedder` gives: an `Embedder`, and the same for programs without an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from edgellm.embedder import Embedder, Embeddings, Ranking, Text
from edgellm.model import ModelInfo
from edgellm.runtime.loop_thread import LoopThread


class LoadedEmbedder:
    """The embedder itself. Use it from one event loop, or through `sync` from plain code, not both."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner

    @property
    def info(self) -> ModelInfo:
        return self.inner.info

    @property
    def sync(self) -> SyncEmbedder:
        """The same for code without `async`, on an event loop in a thread of its own."""
        return SyncEmbedder(self.inner)

    async def start(self) -> None:
        """Load now instead of at the first request."""
        await self.inner.start()

    async def embed(
        self, inputs: Sequence[Text], *, dimensions: int | None = None, truncate: bool = False
    ) -> Embeddings:
        return await self.inner.embed(inputs, dimensions=dimensions, truncate=truncate)

    async def rerank(
        self, query: str, documents: Sequence[str], *, raw: bool = False, truncate: bool = False
    ) -> Ranking:
        return await self.inner.rerank(query, documents, raw=raw, truncate=truncate)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncEmbedder:
    """A context manager over an `Embedder`; every method blocks. Close it, or leave the `with` block, to unload."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self._loop = LoopThread()

    def embed(self, inputs: Sequence[Text], *, dimensions: int | None = None, truncate: bool = False) -> Embeddings:
        """A vector for each of `inputs`; see `Embedder.embed`."""
        return self._loop.run(_embed(self.inner, inputs, dimensions, truncate))

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool = False, truncate: bool = False) -> Ranking:
        """A score for each of `documents`; see `Embedder.rerank`."""
        return self._loop.run(_rerank(self.inner, query, documents, raw, truncate))

    def close(self) -> None:
        """Unload the model. Idempotent."""
        self._loop.close(self.inner.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _embed(inner: Embedder, inputs: Sequence[Text], dimensions: int | None, truncate: bool) -> Embeddings:
    return await inner.embed(inputs, dimensions=dimensions, truncate=truncate)


async def _rerank(inner: Embedder, query: str, documents: Sequence[str], raw: bool, truncate: bool) -> Ranking:
    return await inner.rerank(query, documents, raw=raw, truncate=truncate)
