"""What an embedder makes of its backend's rows: unit vectors, cuts, scores; what it refuses; and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from edgellm.errors import ContextOverflow, NotAModel, RequestError, Unavailable, Unsupported
from edgellm.model import ModelInfo
from edgellm.runtime.local_embedder import LocalEmbedder, unit
from tests.doubles.vector_backend import VectorBackend

INFO = ModelInfo(name="mine", notes=("a note",))


@pytest.fixture
async def embedder() -> AsyncIterator[LocalEmbedder]:
    made = LocalEmbedder(VectorBackend, INFO, least_dimensions=2)
    yield made
    await made.aclose()


async def test_rows_become_vectors_of_length_one(embedder: LocalEmbedder) -> None:
    made = await embedder.embed(["abc", [1, 2]])
    assert made.vectors.shape == (2, 8) and made.vectors.dtype == np.float32 and made.tokens == (3, 2)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-6)
    cut = await embedder.embed(["abc"], dimensions=2)
    np.testing.assert_allclose(cut.vectors[0], made.vectors[0, :2] / np.linalg.norm(made.vectors[0, :2]), atol=1e-6)
    assert (embedder.info.name, embedder.info.context_length, embedder.info.notes) == ("mine", 32, ("a note",))
    assert (await embedder.embed([])).vectors.shape == (0, 8)


def test_zeros_stay_zeros_and_huge_numbers_do_not_overflow() -> None:
    rows = unit(np.array([[0, 0], [3e30, 4e30], [3e-30, 4e-30]], np.float32))
    np.testing.assert_allclose(rows, [[0, 0], [0.6, 0.8], [0.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "options", "kind", "words"),
    [
        (["a", ""], {}, RequestError, "Input 1 is empty"),
        ([[]], {"first": 7}, RequestError, "Input 7 is empty"),
        ([[2000]], {}, RequestError, "between 0 and 1999"),
        ([[-1]], {}, RequestError, "between 0 and 1999"),
        (["a" * 33], {}, ContextOverflow, "33 tokens, but mine takes at most 32"),
        (["a"], {"dimensions": 1}, RequestError, "between 2 and 8"),
        (["a"], {"dimensions": 9}, RequestError, "between 2 and 8"),
    ],
)
async def test_refusals(embedder: LocalEmbedder, inputs: Any, options: Any, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        await embedder.embed(inputs, **options)
    if isinstance(caught.value, ContextOverflow):
        assert (caught.value.needed, caught.value.available) == (33, 32)


async def test_what_is_cut_is_counted(embedder: LocalEmbedder) -> None:
    made = await embedder.embed(["a" * 40, "b"], truncate=True)
    assert made.tokens == (32, 1) and made.dropped == 8


async def test_each_kind_does_its_own_work(embedder: LocalEmbedder) -> None:
    with pytest.raises(Unsupported, match="no reranker"):
        await embedder.rerank("a", ["b"])
    ranker = LocalEmbedder(lambda: VectorBackend(ranks=True), INFO)
    try:
        with pytest.raises(Unsupported, match="ranks documents"):
            await ranker.embed(["a"])
        found = await ranker.rerank("\x01", ["\x02", "\x05"])
        raw = await ranker.rerank("\x01", ["\x02", "\x05"], raw=True)
        np.testing.assert_allclose(found.scores, [3 / 4, 6 / 7], atol=1e-6)
        assert raw.scores.tolist() == [3.0, 6.0] and raw.tokens == (2, 2)
        with pytest.raises(ContextOverflow, match="Document 1, together with the query, is too large: it has 34"):
            await ranker.rerank("a", ["b", "c" * 33])
        with pytest.raises(RequestError, match="both empty"):
            await ranker.rerank("", [""])
    finally:
        await ranker.aclose()


async def test_a_load_that_fails_may_be_tried_again() -> None:
    tries = iter([NotAModel("x is damaged. Download it again."), VectorBackend()])

    def load() -> VectorBackend:
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    embedder = LocalEmbedder(load, INFO)
    with pytest.raises(NotAModel):
        await embedder.start()
    assert len((await embedder.embed(["a"])).vectors) == 1
    await embedder.aclose()
    with pytest.raises(Unavailable):
        await embedder.embed(["a"])


async def test_closing_waits_for_the_backend_and_closes_it() -> None:
    backend = VectorBackend(sequences=1)
    embedder = LocalEmbedder(lambda: backend, INFO)
    asked = asyncio.create_task(embedder.embed(["a"] * 50))
    await embedder.start()
    await asyncio.sleep(0)
    await embedder.aclose()
    await embedder.aclose()
    assert backend.closed
    results = await asyncio.gather(asked, return_exceptions=True)
    assert asked.done() and results
