"""`LocalEmbedder`: an `Embedder` in this process, over one `EmbeddingBackend`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from msgspec.structs import replace

from edgellm.backends.embedding import EmbeddingBackend
from edgellm.embedder import Embeddings, Ranking, Text, Vectors
from edgellm.errors import ContextOverflow, RequestError, Unavailable, Unsupported
from edgellm.model import ModelInfo
from edgellm.runtime.embedding_queue import EmbeddingQueue

_Fitting = tuple[list[list[int]], int]


class LocalEmbedder:
    """Loads by `load` when it is started. `least_dimensions` is how short its vectors may be cut, 0 for not at all.

    At most `room` requests may wait. Final once closed.
    """

    def __init__(
        self, load: Callable[[], EmbeddingBackend], info: ModelInfo, *, least_dimensions: int = 0, room: int = 256
    ) -> None:
        self._load = load
        self._info = info
        self._least = least_dimensions
        self._room = room
        self._compute = ThreadPoolExecutor(1, "edgellm-embed")
        self._words = ThreadPoolExecutor(1, "edgellm-tokenize")
        self._backend: EmbeddingBackend | None = None
        self._queue: EmbeddingQueue | None = None
        self._loading = asyncio.Lock()
        self._closed = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        await self._loaded()

    async def embed(
        self, inputs: Sequence[Text], *, dimensions: int | None = None, truncate: bool = False, first: int = 0
    ) -> Embeddings:
        """`first` is the number of the first input, for messages."""
        backend, queue = await self._loaded()
        if backend.ranks:
            raise Unsupported(f"{self._info.name} ranks documents and makes no embeddings. Ask it at /v1/rerank.")
        width = self._width(backend, dimensions)
        ids, dropped = await self._in_thread(
            lambda: self._fitting(
                backend,
                [(f"Input {i}", self._ids(backend, i, text)) for i, text in enumerate(inputs, first)],
                truncate,
            )
        )
        rows = await queue.rows(ids)
        return Embeddings(unit(rows[:, :width]), tuple(map(len, ids)), dropped)

    async def rerank(
        self, query: str, documents: Sequence[str], *, raw: bool = False, truncate: bool = False, first: int = 0
    ) -> Ranking:
        """`first` is the number of the first document, for messages."""
        backend, queue = await self._loaded()
        if not backend.ranks:
            raise Unsupported(
                f"{self._info.name} is no reranker: it has nothing that scores a document. Use one, for example "
                "bge-reranker-v2-m3, or compare embeddings."
            )
        ids, dropped = await self._in_thread(
            lambda: self._fitting(
                backend,
                [
                    (f"Document {i}, together with the query,", self._pair(backend, query, i, text))
                    for i, text in enumerate(documents, first)
                ],
                truncate,
            )
        )
        rows = await queue.rows(ids)
        scores = backend.raw_scores(rows) if raw else backend.probabilities(rows)
        return Ranking(scores, tuple(map(len, ids)), dropped)

    async def aclose(self) -> None:
        self._closed = True
        async with self._loading:
            if self._queue is not None:
                await self._queue.aclose()
            await asyncio.to_thread(self._words.shutdown)
            await asyncio.to_thread(self._compute.shutdown)
            if self._backend is not None:
                self._backend.close()
                self._backend = self._queue = None

    async def _loaded(self) -> tuple[EmbeddingBackend, EmbeddingQueue]:
        async with self._loading:
            if self._closed:
                raise Unavailable("The model was closed. Load it again to go on.")
            if self._backend is None or self._queue is None:
                loop = asyncio.get_running_loop()
                self._backend = await loop.run_in_executor(self._compute, self._load)
                self._queue = EmbeddingQueue(self._backend, self._compute, self._room)
                self._info = _completed(self._backend.info, self._info)
            return self._backend, self._queue

    async def _in_thread(self, work: Callable[[], _Fitting]) -> _Fitting:
        """Off the event loop: a text may be long, and others wait."""
        return await asyncio.get_running_loop().run_in_executor(self._words, work)

    def _width(self, backend: EmbeddingBackend, dimensions: int | None) -> int:
        if dimensions is None or dimensions == backend.width:
            return backend.width
        name = self._info.name
        if not self._least:
            raise Unsupported(
                f"The embeddings of {name} have {backend.width} dimensions and are not made to be cut shorter. "
                f"Leave dimensions out, or ask for {backend.width}."
            )
        if not self._least <= dimensions <= backend.width:
            raise RequestError(f"{name} gives between {self._least} and {backend.width} dimensions, not {dimensions}.")
        return dimensions

    def _ids(self, backend: EmbeddingBackend, index: int, text: Text) -> list[int]:
        ids = backend.tokenize(text) if isinstance(text, str) else text
        if not ids:
            raise RequestError(f"Input {index} is empty. Leave it out, or send a text.")
        if not isinstance(text, str) and not 0 <= min(ids) <= max(ids) < backend.vocabulary:
            raise RequestError(f"Input {index} has token ids that are not between 0 and {backend.vocabulary - 1}.")
        return ids

    def _pair(self, backend: EmbeddingBackend, query: str, index: int, document: str) -> list[int]:
        ids = backend.pair(query, document)
        if not ids:
            raise RequestError(f"Document {index} and the query are both empty. Send texts.")
        return ids

    def _fitting(self, backend: EmbeddingBackend, named: Sequence[tuple[str, list[int]]], truncate: bool) -> _Fitting:
        """The token ids, none longer than the model takes, and how many were cut off for that."""
        for what, ids in named:
            if len(ids) > backend.longest and not truncate:
                raise ContextOverflow(
                    f"{what} is too large: it has {len(ids)} tokens, but {self._info.name} takes at most "
                    f"{backend.longest}. Send shorter pieces, or ask for truncation to have the rest cut off.",
                    len(ids),
                    backend.longest,
                )
        fitting = [backend.shorten(ids) for _, ids in named]
        return fitting, sum(len(ids) for _, ids in named) - sum(map(len, fitting))


def _completed(loaded: ModelInfo, known: ModelInfo) -> ModelInfo:
    """What the loaded model says of itself, by its known name, and with what only its files told."""
    return replace(
        loaded,
        name=known.name,
        notes=known.notes,
        parameters=loaded.parameters or known.parameters,
        quantization=loaded.quantization or known.quantization,
    )


def unit(rows: Vectors) -> Vectors:
    """Each row with the length 1, but for one of zeros, which stays."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    scaled: Vectors = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled
