"""Who is computed when: side by side, in turn, without those that left, and with errors for their own requests only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.embedding import Rows
from edgellm.errors import BackendError, QueueFull
from edgellm.runtime.embedding_queue import EmbeddingQueue
from tests.doubles.vector_backend import VectorBackend


@pytest.fixture
async def thread() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def inputs(*firsts: int, length: int = 4) -> list[list[int]]:
    return [[first] * length for first in firsts]


async def test_requests_share_a_batch_and_take_turns(thread: ThreadPoolExecutor) -> None:
    backend = VectorBackend(batch=16, sequences=4)
    queue = EmbeddingQueue(backend, thread, room=8)
    many, one = await asyncio.gather(queue.rows(inputs(*range(1, 10))), queue.rows(inputs(50)))
    assert many[:, 0].tolist() == [4.0 * first for first in range(1, 10)] and one[0, 0] == 200.0
    assert 50 in [first for first, *_ in backend.batches[0]] and len(backend.batches) == 3


async def test_one_that_leaves_is_not_computed_further(thread: ThreadPoolExecutor) -> None:
    backend = VectorBackend(batch=4, sequences=1, gate=threading.Event())
    queue = EmbeddingQueue(backend, thread, room=8)
    leaver = asyncio.create_task(queue.rows(inputs(*range(1, 100))))
    stayer = asyncio.create_task(queue.rows(inputs(7)))
    await asyncio.sleep(0.01)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    assert backend.gate is not None
    backend.gate.set()
    assert (await stayer)[0, 0] == 28.0
    assert len(backend.batches) <= 3
    await queue.aclose()


async def test_an_error_is_that_of_the_requests_it_met(thread: ThreadPoolExecutor) -> None:
    class Broken(VectorBackend):
        def compute(self, inputs: Sequence[Sequence[int]]) -> Rows:
            if inputs[0][0] == 13:
                raise BackendError("no luck. Try again.")
            return super().compute(inputs)

    queue = EmbeddingQueue(Broken(batch=4, sequences=1), thread, room=8)
    bad, good = await asyncio.gather(queue.rows(inputs(13, 14)), queue.rows(inputs(3)), return_exceptions=True)
    assert isinstance(bad, BackendError)
    assert isinstance(good, np.ndarray) and good[0, 0] == 12.0
    assert (await queue.rows(inputs(2)))[0, 0] == 8.0


async def test_no_more_wait_than_there_is_room_for(thread: ThreadPoolExecutor) -> None:
    backend = VectorBackend(gate=threading.Event())
    queue = EmbeddingQueue(backend, thread, room=2)
    running = [asyncio.create_task(queue.rows(inputs(place))) for place in (1, 2)]
    await asyncio.sleep(0.01)
    with pytest.raises(QueueFull, match="2 requests wait"):
        await queue.rows(inputs(3))
    assert backend.gate is not None
    backend.gate.set()
    await asyncio.gather(*running)
    assert (await queue.rows([])).shape == (0, backend.width)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), min_size=1, max_size=6))
def test_everybody_gets_their_own_rows_within_the_limits(lengths: list[list[int]]) -> None:
    backend = VectorBackend(batch=12, sequences=3)
    wanted = [
        [[index * 10 + place + 1] * length for place, length in enumerate(each)] for index, each in enumerate(lengths)
    ]

    async def all_at_once() -> list[Rows]:
        with ThreadPoolExecutor(1) as pool:
            queue = EmbeddingQueue(backend, pool, room=10)
            return await asyncio.gather(*(queue.rows(each) for each in wanted))

    for rows, each in zip(asyncio.run(all_at_once()), wanted, strict=True):
        assert rows[:, 0].tolist() == [float(sum(tokens)) for tokens in each]
    for batch in backend.batches:
        assert len(batch) <= 3 and (sum(map(len, batch)) <= 12 or len(batch) == 1)
