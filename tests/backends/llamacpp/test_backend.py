"""Loading, what a backend says of itself, and closing."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgellm.backends.base import Backend, Capabilities
from edgellm.backends.batch import Chunk
from edgellm.backends.llamacpp import LlamaCppBackend, build_id
from edgellm.config import ModelSettings
from tests import tiny_model


def test_info(tiny: Path, load) -> None:  # type: ignore[no-untyped-def]
    info = load(context=0).info
    assert (info.name, info.backend, info.architecture, info.quantization) == ("tiny", "llama.cpp", "llama", "F32")
    assert info.context_length == 2048
    assert info.parameters == 164_160
    assert info.size_bytes == 4 * 164_160
    assert info.created == int(tiny.stat().st_mtime)


def test_a_long_trained_context_is_cut_to_8192_unless_asked_for(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tiny_model.build(tmp_path, context=32_768)
    assert load(path, context=0).info.context_length == 8192
    assert load(path, context=16_384).info.context_length == 16_384


def test_limits_are_what_the_context_really_has(load) -> None:  # type: ignore[no-untyped-def]
    limits = load(context=300, slots=100, parallel=20, batch=1000).limits
    assert limits.cells == 512  # the library rounds up to 256
    assert (limits.slots, limits.rows) == (100, 100)
    assert limits.batch == 300


def test_half_precision_weights(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    backend = load(tiny_model.build(tmp_path, half=True))
    assert backend.info.quantization == "F16"
    assert np.isfinite(backend.decode([Chunk(0, 0, [1, 2, 3])]).logits(0)).all()


@pytest.mark.parametrize("changes", [{"kv_type": "q8_0"}, {"flash_attention": "on"}, {"flash_attention": "off"}])
def test_kv_type_and_attention_change_little(load, backend: LlamaCppBackend, changes: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    tokens = list(range(40))
    expected = np.array(backend.decode([Chunk(0, 0, tokens)]).logits(0))
    logits = load(**changes).decode([Chunk(0, 0, tokens)]).logits(0)
    np.testing.assert_allclose(logits, expected, atol=0.5)


def test_loading_twice_gives_two_backends_with_their_own_memory(load) -> None:  # type: ignore[no-untyped-def]
    first, second = load(), load()
    first.decode([Chunk(0, 0, [1, 2, 3])])
    row = second.decode([Chunk(0, 0, [7])])
    np.testing.assert_array_equal(row.logits(0), load().decode([Chunk(0, 0, [7])]).logits(0))


def test_progress_rises_to_one(tiny: Path) -> None:
    heard: list[float] = []
    LlamaCppBackend.load(tiny, ModelSettings(context=256, threads=1), heard.append).close()
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_an_exception_in_progress_stops_the_load(tiny: Path) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LlamaCppBackend.load(tiny, ModelSettings(context=256, threads=1), stop)


def test_closing_is_idempotent_and_gives_the_memory_back(tiny: Path) -> None:
    settings = ModelSettings(context=2**16, threads=1, slots=4)  # 64 MiB of KV

    def load_and_close() -> int:
        backend = LlamaCppBackend.load(tiny, settings)
        used: int = psutil.Process().memory_info().rss
        backend.close()
        backend.close()
        return used

    load_and_close()
    gc.collect()
    before = psutil.Process().memory_info().rss
    used = max(load_and_close() for _ in range(3))
    gc.collect()
    after = psutil.Process().memory_info().rss
    assert used - before > 20 * 2**20
    assert after - before < 20 * 2**20


def test_use_after_closing_is_asserted(tiny: Path) -> None:
    backend = LlamaCppBackend.load(tiny, ModelSettings(context=256, threads=1))
    backend.close()
    for use in (
        lambda: backend.decode([Chunk(0, 0, [1])]),
        lambda: backend.vocabulary.tokenize("a", special=True, add_bos=True),
        lambda: backend.vocabulary.piece(1),
    ):
        with pytest.raises(AssertionError):
            use()


def test_it_is_a_backend(backend: Backend) -> None:
    """Every capability claimed is used without complaint (the type checker compares the signatures)."""
    backend.decode([Chunk(0, 0, [1, 2]), Chunk(1, 0, [3], rows=0)])
    assert backend.capabilities == Capabilities(copy=True, trim=True, ragged=True, shift=False, save=True)
    backend.copy(0, 2, 1)
    backend.trim(0, 1)
    backend.restore(3, backend.save(2))
    assert len(backend.decode([Chunk(3, 1, [2])])) == 1


def test_nothing_is_printed(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    LlamaCppBackend.load(tiny, ModelSettings(context=256, threads=1)).close()
    assert capfd.readouterr() == ("", "")


def test_the_build_has_a_name() -> None:
    assert build_id().startswith("llama-cpp-python 0.3.36; llama.cpp ")
    assert build_id() == build_id()
