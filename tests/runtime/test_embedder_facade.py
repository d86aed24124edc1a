"""`edgellm.load_embedder`: with and without async, and what it passes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgellm
from edgellm.errors import ContextOverflow, ModelNotFound, Unsupported
from edgellm.model import ModelInfo
from edgellm.runtime.embedder_facade import LoadedEmbedder, SyncEmbedder
from edgellm.runtime.local_embedder import LocalEmbedder
from tests import tiny_bert
from tests.doubles.vector_backend import VectorBackend


def test_plain_code_embeds_and_ranks() -> None:
    backend, ranker = VectorBackend(), VectorBackend(ranks=True)
    with SyncEmbedder(LocalEmbedder(lambda: backend, ModelInfo(name="a"), least_dimensions=1)) as embedder:
        assert embedder.embed(["abc"]).vectors.shape == (1, 8)
        assert embedder.embed(["abc", [1]], dimensions=3).vectors.shape == (2, 3)
        assert embedder.embed(["a" * 40], truncate=True).dropped == 8
        with pytest.raises(ContextOverflow):
            embedder.embed(["a" * 40])
    embedder.close()
    assert backend.closed
    with SyncEmbedder(LocalEmbedder(lambda: ranker, ModelInfo(name="b"))) as other:
        assert other.rerank("\x01", ["\x02"], raw=True).scores.tolist() == [3.0]


async def test_a_path_is_loaded_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    async with edgellm.load_embedder(str(tiny_bert.build(tmp_path)), threads=1) as embedder:
        assert isinstance(embedder, LoadedEmbedder) and embedder.info.context_length == 64
        made = await embedder.embed(["the cat"])
        np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-6)
        with pytest.raises(Unsupported):
            await embedder.rerank("a", ["b"])


def test_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    with pytest.raises(ModelNotFound):
        edgellm.load_embedder(str(tmp_path / "no.gguf"), offline=True)
