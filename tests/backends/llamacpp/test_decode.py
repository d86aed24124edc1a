"""Decoding gives every row the logits its sequence deserves, however tokens are cut into chunks and batches."""

from __future__ import annotations

import numpy as np
import pytest

from edgellm.backends.batch import Chunk
from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.backends.llamacpp.decode import LlamaRows
from edgellm.errors import BackendError

TOLERANCE = 2e-3  # kernels for other batch sizes add in another order
PROMPTS = [[508, 5, 60, 7], [300, 301, 302, 303, 304, 305, 306], [9], [100, 200, 300, 400, 500, 1, 2, 3, 4, 5]]


def alone(backend: LlamaCppBackend, tokens: list[int]) -> np.ndarray:
    """Logits of every token of one sequence, in slot 0."""
    backend.trim(0, 0)
    rows = backend.decode([Chunk(0, 0, tokens, rows=len(tokens))])
    logits = np.array([rows.logits(row) for row in range(len(rows))])
    backend.trim(0, 0)
    return logits


def test_a_batch_of_slots_equals_each_alone(backend: LlamaCppBackend) -> None:
    expected = [alone(backend, prompt)[-1] for prompt in PROMPTS]
    rows = backend.decode([Chunk(slot, 0, prompt) for slot, prompt in enumerate(PROMPTS)])
    assert len(rows) == len(PROMPTS)
    for row, logits in enumerate(expected):
        np.testing.assert_allclose(rows.logits(row), logits, atol=TOLERANCE)
        assert rows.argmax(row) == int(np.argmax(logits))


def test_prefill_in_chunks_equals_prefill_in_one(backend: LlamaCppBackend) -> None:
    tokens = PROMPTS[3]
    expected = alone(backend, tokens)[-1]
    assert len(backend.decode([Chunk(0, 0, tokens[:3], rows=0)])) == 0
    assert len(backend.decode([Chunk(0, 3, tokens[3:8], rows=0)])) == 0
    rows = backend.decode([Chunk(0, 8, tokens[8:])])
    np.testing.assert_allclose(rows.logits(0), expected, atol=TOLERANCE)


def test_rows_come_in_the_order_of_the_batch(backend: LlamaCppBackend) -> None:
    """Chunks of other lengths, slots out of order, some without rows, some with several."""
    expected = [alone(backend, prompt) for prompt in PROMPTS]
    batch = [
        Chunk(5, 0, PROMPTS[1], rows=3),
        Chunk(2, 0, PROMPTS[0], rows=0),
        Chunk(7, 0, PROMPTS[2]),
        Chunk(0, 0, PROMPTS[3], rows=2),
    ]
    rows = backend.decode(batch)
    wanted = [*expected[1][-3:], expected[2][0], *expected[3][-2:]]
    assert len(rows) == len(wanted) == 6
    for row, logits in enumerate(wanted):
        np.testing.assert_allclose(rows.logits(row), logits, atol=TOLERANCE)


def test_decoding_goes_on_from_what_a_slot_holds(backend: LlamaCppBackend) -> None:
    tokens = list(PROMPTS[0])
    row = backend.decode([Chunk(3, 0, tokens)])
    for _ in range(5):
        token = row.argmax(0)
        row = backend.decode([Chunk(3, len(tokens), [token])])
        tokens.append(token)
    last = np.array(row.logits(0))
    np.testing.assert_allclose(last, alone(backend, tokens)[-1], atol=TOLERANCE)


def test_a_batch_larger_than_the_physical_one(load) -> None:  # type: ignore[no-untyped-def]
    backend = load(context=2048, batch=1024)
    assert backend.limits.batch == 1024
    tokens = [(7 * i) % 500 for i in range(900)]
    whole = np.array(backend.decode([Chunk(0, 0, tokens)]).logits(0))
    parts = [backend.decode([Chunk(1, at, tokens[at : at + 100])]) for at in range(0, 900, 100)][-1]
    np.testing.assert_allclose(parts.logits(0), whole, atol=TOLERANCE)


def test_argmax_takes_the_lowest_id_on_a_tie(backend: LlamaCppBackend) -> None:
    rows = backend.decode([Chunk(0, 0, [1])])
    logits = rows.logits(0)
    logits[7] = logits[300] = np.float32(1000)
    assert rows.argmax(0) == 7


def test_logits_are_lent_not_copied(backend: LlamaCppBackend) -> None:
    rows = backend.decode([Chunk(0, 0, [1, 2], rows=2)])
    assert rows.logits(0).dtype == np.float32
    assert rows.logits(0).shape == (len(backend.vocabulary),)
    assert np.shares_memory(rows.logits(1), rows.logits(1))


@pytest.mark.parametrize(
    "batch",
    [
        [],
        [Chunk(0, 0, [])],
        [Chunk(0, 0, [1], rows=2)],
        [Chunk(0, 0, [1]), Chunk(0, 1, [2])],
        [Chunk(0, 3, [1])],
        [Chunk(0, 0, [1] * 65)],
    ],
    ids=["empty", "chunk of nothing", "more rows than tokens", "slot twice", "gap", "above the batch limit"],
)
def test_what_would_abort_the_process_is_asserted_first(backend: LlamaCppBackend, batch: list[Chunk]) -> None:
    with pytest.raises(AssertionError):
        backend.decode(batch)


def test_more_rows_than_the_limit_is_asserted(load) -> None:  # type: ignore[no-untyped-def]
    backend = load(batch=128)
    with pytest.raises(AssertionError):
        backend.decode([Chunk(0, 0, [1] * 65, rows=65)])
    assert len(backend.decode([Chunk(0, 0, [1] * 65, rows=64)])) == 64


def test_a_full_cache_is_an_error_and_leaves_the_rest_usable(load) -> None:  # type: ignore[no-untyped-def]
    backend = load(context=256, batch=256)
    backend.decode([Chunk(0, 0, [1] * 200)])
    with pytest.raises(BackendError, match="no room"):
        backend.decode([Chunk(1, 0, [2] * 100)])
    backend.trim(1, 0)
    backend.trim(0, 100)
    assert len(backend.decode([Chunk(1, 0, [2] * 100)])) == 1


def test_an_invalid_token_is_an_error(backend: LlamaCppBackend) -> None:
    with pytest.raises(BackendError, match="invalid token"):
        backend.decode([Chunk(0, 0, [512])])
    assert len(backend.decode([Chunk(0, 0, [511])])) == 1


def test_rows_are_waited_for_once_and_only_when_someone_asks() -> None:
    asked: list[int] = []

    def lend(count: int) -> np.ndarray:
        asked.append(count)
        return np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], np.float32)

    rows = LlamaRows(2, lend)
    assert len(rows) == 2 and asked == []
    rows.wait()
    assert [rows.argmax(0), rows.argmax(1)] == [1, 0] and rows.logits(1)[0] == 3.0
    rows.wait()
    assert asked == [2]
