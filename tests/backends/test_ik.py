"""The fork under stock names: equal vocabulary, logits within rounding, slots that behave, refusals in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgellm.backends import ik
from edgellm.backends.base import Backend
from edgellm.backends.batch import Chunk
from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, NotAModel, Unsupported
from tests import tiny_model

pytestmark = pytest.mark.skipif(ik.installed() != ik.VERSION, reason="needs the extra `ik`")

SETTINGS = ModelSettings(threads=1, context=512, slots=8, parallel=8, batch=128)
PROMPT = "The capital of France is Paris, and the capital of Italy is Rome. The capital of Spain is"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pair(path: Path) -> Iterator[tuple[Backend, Backend]]:
    """The same model on stock llama.cpp and on the fork."""
    stock, fork = LlamaCppBackend.load(path, SETTINGS), ik.backend(path, SETTINGS)
    yield stock, fork
    stock.close()
    fork.close()


@pytest.fixture
def fork(pair: tuple[Backend, Backend]) -> Backend:
    for backend in pair:
        for slot in range(backend.limits.slots):
            backend.trim(slot, 0)
    return pair[1]


def logits(backend: Backend, *chunks: Chunk) -> np.ndarray:
    rows = backend.decode(list(chunks))
    return np.array([rows.logits(row) for row in range(len(rows))])


def test_the_vocabulary_is_stock_llamacpps(pair: tuple[Backend, Backend]) -> None:
    stock, fork = (backend.vocabulary for backend in pair)
    assert list(stock.pieces()) == list(fork.pieces())
    assert (stock.bos, stock.eos, stock.end_tokens) == (fork.bos, fork.eos, fork.end_tokens)
    assert stock.template == fork.template
    text = "Grüße <|im_end|> 12345\n\n  \tx = [1, 2]"
    assert stock.tokenize(text, special=True, add_bos=True) == fork.tokenize(text, special=True, add_bos=True)


def test_it_says_what_it_is(pair: tuple[Backend, Backend]) -> None:
    stock, fork = (backend.info for backend in pair)
    assert (stock.backend, fork.backend) == ("llama.cpp", "ik_llama.cpp")
    assert (fork.size_bytes, fork.quantization, fork.architecture) == (stock.size_bytes, "F32", "llama")
    assert pair[0].capabilities == pair[1].capabilities
    assert ik.build_id().startswith(f"{ik.PACKAGE} {ik.VERSION}; ")


def test_logits_are_stock_llamacpps_within_rounding(pair: tuple[Backend, Backend], fork: Backend) -> None:
    stock, tokens = pair[0], fork.vocabulary.tokenize(PROMPT, special=True, add_bos=True)
    for chunk in (Chunk(0, 0, tokens, 8), Chunk(0, len(tokens), tokens[:1])):
        theirs, ours = logits(stock, chunk), logits(fork, chunk)
        assert (theirs.argmax(1) == ours.argmax(1)).mean() > 0.8
        assert np.abs(theirs - ours).max() < 2.0


def test_sequences_decoded_together_do_not_see_each_other(fork: Backend) -> None:
    tokens = fork.vocabulary.tokenize(PROMPT, special=True, add_bos=True)
    alone = logits(fork, Chunk(0, 0, tokens))
    fork.trim(0, 0)
    together = logits(fork, Chunk(1, 0, list(reversed(tokens))), Chunk(0, 0, tokens))[1]
    assert np.abs(alone[0] - together).max() < 1.0
    assert alone[0].argmax() == together.argmax()


def test_slots_are_copied_trimmed_saved_and_restored(fork: Backend) -> None:
    tokens = fork.vocabulary.tokenize(PROMPT, special=True, add_bos=True)
    fork.decode([Chunk(0, 0, tokens)])
    after = logits(fork, Chunk(0, len(tokens), [7]))[0]
    fork.trim(0, len(tokens))
    fork.copy(0, 3, len(tokens))
    state = fork.save(0)
    fork.trim(0, 0)
    fork.restore(5, state)
    for slot in (3, 5):
        assert np.abs(logits(fork, Chunk(slot, len(tokens), [7]))[0] - after).max() < 1.0
    with pytest.raises(BackendError, match="damaged"):
        fork.restore(6, state[:-1] + b"\x7f" if state[-1] != 0x7F else state[:-1] + b"\x00")


def test_a_state_is_restored_where_what_is_free_lies_in_pieces(fork: Backend) -> None:
    tokens = (fork.vocabulary.tokenize(PROMPT, special=True, add_bos=True) * 20)[:250]
    for start in range(0, 250, 50):
        fork.decode([Chunk(0, start, tokens[start : start + 50], 0)])
    after = logits(fork, Chunk(0, 250, [7]))[0]
    fork.trim(0, 250)
    state = fork.save(0)
    fork.trim(0, 0)
    for place in range(200):
        together = logits(fork, Chunk(1, place, [5]), Chunk(2, place, [6]))
    fork.trim(2, 0)
    fork.restore(3, state)
    assert np.abs(logits(fork, Chunk(3, 250, [7]))[0] - after).max() < 1.0
    fork.trim(1, 199)
    assert np.abs(logits(fork, Chunk(1, 199, [5]))[0] - together[0]).max() < 1.0


def test_more_pieces_than_it_moves_at_once_are_put_together(tmp_path: Path) -> None:
    """With as many layers it moves some 165 at once: of sequences decoded together, each cell is a piece."""
    settings = ModelSettings(threads=1, context=1024, slots=4, parallel=4, batch=128)
    deep = ik.backend(tiny_model.build(tmp_path, layers=66), settings)
    try:
        for place in range(450):
            deep.decode([Chunk(0, place, [place % 100], 0), Chunk(1, place, [place % 90], 0)])
        before = logits(deep, Chunk(0, 450, [7]))[0]
        deep.trim(0, 450)
        deep.trim(1, 0)
        assert np.abs(logits(deep, Chunk(0, 450, [7]))[0] - before).max() < 1e-3
    finally:
        deep.close()


def test_a_state_of_stock_llamacpp_is_refused(pair: tuple[Backend, Backend], fork: Backend) -> None:
    pair[0].decode([Chunk(0, 0, [1, 2, 3])])
    with pytest.raises(BackendError, match="another model"):
        fork.restore(0, pair[0].save(0))


def test_a_full_cache_is_an_error_and_the_next_step_works(fork: Backend) -> None:
    for start in range(0, 512, 64):
        fork.decode([Chunk(0, start, [5] * 64, 0)])
    with pytest.raises(BackendError, match="no room"):
        fork.decode([Chunk(1, 0, [1, 2])])
    fork.trim(0, 0)
    fork.trim(1, 0)
    assert len(fork.decode([Chunk(1, 0, [1, 2])])) == 1


@pytest.mark.parametrize("changes", [{"kv_type": "q8_0"}, {"flash_attention": "on"}])
def test_what_it_cannot_honour_is_refused(path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(Unsupported, match=r"ik_llama\.cpp"):
        ik.backend(path, ModelSettings(context=256, threads=1, **changes))  # type: ignore[arg-type]


def test_a_damaged_file_is_refused_before_it_sees_it(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(NotAModel):
        ik.backend(broken, SETTINGS)


def test_nothing_is_printed(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    backend = ik.backend(path, SETTINGS)
    backend.decode([Chunk(0, 0, [1, 2, 3])])
    backend.close()
    assert capfd.readouterr() == ("", "")
