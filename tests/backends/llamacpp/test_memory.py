"""What a slot remembers survives copying, trimming, saving and restoring: the next logits are the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgellm.backends.batch import Chunk
from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.errors import BackendError
from tests import tiny_model

TOKENS = [508, 40, 41, 300, 301, 77, 78, 79, 80, 81, 82, 83]


def following(backend: LlamaCppBackend, slot: int, start: int, token: int = 99) -> np.ndarray:
    return np.array(backend.decode([Chunk(slot, start, [token])]).logits(0))


@pytest.fixture
def expected(backend: LlamaCppBackend) -> np.ndarray:
    """Logits after TOKENS and 99; slot 0 then holds TOKENS again."""
    backend.decode([Chunk(0, 0, TOKENS)])
    logits = following(backend, 0, len(TOKENS))
    backend.trim(0, len(TOKENS))
    return logits


def test_a_trimmed_slot_goes_on_as_if_nothing_had_followed(backend: LlamaCppBackend, expected: np.ndarray) -> None:
    backend.decode([Chunk(0, len(TOKENS), [1, 2, 3, 4])])
    backend.trim(0, len(TOKENS))
    np.testing.assert_array_equal(following(backend, 0, len(TOKENS)), expected)


def test_a_copy_is_the_same_and_stays_when_the_source_goes(backend: LlamaCppBackend, expected: np.ndarray) -> None:
    backend.copy(0, 4, len(TOKENS))
    np.testing.assert_array_equal(following(backend, 4, len(TOKENS)), expected)
    backend.trim(4, len(TOKENS))
    backend.trim(0, 0)
    np.testing.assert_array_equal(following(backend, 4, len(TOKENS)), expected)


def test_a_copied_prefix_shares_cells(load) -> None:  # type: ignore[no-untyped-def]
    """Eight slots of 200 tokens fit in 512 cells only if the first 150 are shared."""
    backend = load(context=256, batch=256)
    backend.decode([Chunk(0, 0, [5] * 150, rows=0)])
    for slot in range(1, 8):
        backend.copy(0, slot, 150)
        backend.decode([Chunk(slot, 150, [slot] * 10)])
    with pytest.raises(BackendError):
        backend.decode([Chunk(0, 150, [1] * 100)])


def test_part_of_a_slot_can_be_copied(backend: LlamaCppBackend, expected: np.ndarray) -> None:
    backend.decode([Chunk(0, len(TOKENS), [1, 2, 3])])
    backend.copy(0, 2, len(TOKENS))
    np.testing.assert_allclose(following(backend, 2, len(TOKENS)), expected, atol=2e-3)


def test_a_restored_slot_gives_identical_logits(backend: LlamaCppBackend, expected: np.ndarray) -> None:
    state = backend.save(0)
    backend.decode([Chunk(6, 0, [1, 2, 3])])
    backend.restore(6, state)
    np.testing.assert_array_equal(following(backend, 6, len(TOKENS)), expected)
    np.testing.assert_array_equal(following(backend, 0, len(TOKENS)), expected)


def test_a_state_survives_the_backend(load, tiny) -> None:  # type: ignore[no-untyped-def]
    first, second = load(tiny), load(tiny)
    first.decode([Chunk(0, 0, TOKENS)])
    second.restore(3, first.save(0))
    np.testing.assert_array_equal(following(second, 3, len(TOKENS)), following(first, 0, len(TOKENS)))


def test_an_empty_slot_can_be_saved(backend: LlamaCppBackend) -> None:
    backend.decode([Chunk(1, 0, TOKENS)])
    backend.restore(1, backend.save(0))
    assert len(backend.decode([Chunk(1, 0, [1])])) == 1


@pytest.mark.parametrize("at", [0, 10, 24, 30, 40, 60, 100, -1])
def test_a_damaged_state_is_refused(backend: LlamaCppBackend, expected: np.ndarray, at: int) -> None:
    state = bytearray(backend.save(0))
    state[at] ^= 0x10
    with pytest.raises(BackendError):
        backend.restore(1, bytes(state))
    np.testing.assert_array_equal(following(backend, 0, len(TOKENS)), expected)


@pytest.mark.parametrize("keep", [0, 5, 39, 40, 200])
def test_a_truncated_state_is_refused(backend: LlamaCppBackend, expected: np.ndarray, keep: int) -> None:
    with pytest.raises(BackendError):
        backend.restore(1, backend.save(0)[:keep])


def test_a_state_of_another_model_is_refused(load, backend: LlamaCppBackend, tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = load(tiny_model.build(tmp_path, seed=1))
    other.decode([Chunk(0, 0, TOKENS)])
    with pytest.raises(BackendError, match="another model"):
        backend.restore(0, other.save(0))


def test_a_state_that_does_not_fit_is_refused_and_leaves_the_slot_empty(load) -> None:  # type: ignore[no-untyped-def]
    backend = load(context=256, batch=256)
    backend.decode([Chunk(0, 0, [5] * 150)])
    state = backend.save(0)
    with pytest.raises(BackendError, match="could not be restored"):
        backend.restore(1, state)
    assert len(backend.decode([Chunk(1, 0, [5] * 100)])) == 1


def test_a_target_in_use_and_more_than_there_is_are_asserted(backend: LlamaCppBackend) -> None:
    backend.decode([Chunk(0, 0, [1, 2]), Chunk(1, 0, [3])])
    with pytest.raises(AssertionError):
        backend.copy(0, 1, 1)
    with pytest.raises(AssertionError):
        backend.copy(0, 2, 3)
