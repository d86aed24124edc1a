"""What a model takes for embeddings: as long inputs as there is room for, and a refusal where there is none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.config import ModelSettings, Settings
from edgellm.errors import NotEnoughMemory, Unsupported, WorkerDied
from edgellm.machine.machine import Machine, detect
from edgellm.runtime import open_embedder
from edgellm.runtime.locate import Located
from edgellm.runtime.open_embedder import memory
from edgellm.runtime.process_embedder import ProcessEmbedder
from tests import tiny_bert

BGE = ModelFacts(
    format="gguf",
    architecture="bert",
    name="bge-m3",
    quantization="Q8_0",
    parameters=568_000_000,
    context=8192,
    embedding=1024,
    heads=16,
    feed_forward=4096,
    vocabulary=250_002,
    layers=(LayerFacts(),) * 24,
    weight_bytes=600 << 20,
    pooling=True,
)


def with_memory(gib: float) -> Machine:
    return msgspec.structs.replace(detect(), available_memory=int(gib * 2**30), limit_left=None)


def opened(machine: Machine, facts: ModelFacts, patch: pytest.MonkeyPatch, **settings: object) -> tuple[int, int]:
    patch.setattr(open_embedder, "facts_of", lambda path: facts)
    found = Located(path=Path("/no/such/model.gguf"), name="m")
    made = open_embedder.open_embedder(found, Settings(**settings), machine)  # type: ignore[arg-type]
    assert isinstance(made.resident, ProcessEmbedder)
    return made.resident._slot._spec.arguments["settings"]["context"], made.memory_bytes


def test_inputs_are_as_long_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy, much = opened(with_memory(64), BGE, monkeypatch)
    tight, little = opened(with_memory(4), BGE, monkeypatch)
    assert roomy == 8192 and 512 <= tight < 8192 and tight & (tight - 1) == 0
    assert little <= 4 * 2**30 < much


def test_a_context_that_was_asked_for_bounds_inputs_and_gives_way_to_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(with_memory(64), BGE, monkeypatch, context=700)[0] == 700
    assert opened(with_memory(4), BGE, monkeypatch, context=6000)[0] in (3000, 1500, 750)
    found = Located(path=Path("/no/such/model.gguf"), name="m", reason="Because.")
    notes = open_embedder.open_embedder(found, Settings(), with_memory(4)).resident.info.notes
    assert notes[0] == "Because." and "not 8192: more would not fit in memory" in notes[1]


def test_what_fits_in_no_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotEnoughMemory, match=r"needs .* GiB of memory for embeddings") as caught:
        opened(with_memory(0.5), BGE, monkeypatch)
    assert caught.value.needed > caught.value.available
    assert opened(with_memory(0.5), BGE, monkeypatch, memory_check=False)[0] == 512


def test_decoders_that_pool_their_last_token_need_less(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (LayerFacts(key=1024, value=1024),) * 28
    mean = msgspec.structs.replace(BGE, architecture="qwen3", layers=layers)
    last = msgspec.structs.replace(mean, pools_last=True)
    settings = ModelSettings(context=8192)
    assert memory(last, settings) < memory(mean, settings) / 2
    assert memory(mean, msgspec.structs.replace(settings, pooling="last")) == memory(last, settings)


@pytest.fixture
def located(tmp_path: Path) -> Located:
    return Located(path=tiny_bert.build(tmp_path), name="tiny")


async def test_a_process_embeds_and_is_started_again_after_it_died(
    located: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    resident = open_embedder.open_embedder(located, Settings(threads=1), detect()).resident
    assert isinstance(resident, ProcessEmbedder)
    try:
        assert resident.pid is None
        made = await resident.embed(["the cat", "", [2, 3]])
        assert made.vectors.shape == (3, 48) and made.tokens == (4, 2, 2)
        assert (resident.info.name, resident.info.context_length) == ("tiny", 64)
        np.testing.assert_allclose(made.vectors[1], made.vectors[2], atol=1e-3)
        with pytest.raises(Unsupported, match="no reranker"):
            await resident.rerank("a", ["b"])
        process = resident._slot.process
        assert process is not None and resident.pid == process.pid
        process._process.kill()
        with suppress(WorkerDied):  # unless the end was noticed before
            await resident.embed(["a"])
        again = await resident.embed(["the cat"] * 300)
        assert again.vectors.shape == (300, 48)
        np.testing.assert_allclose(again.vectors[299], made.vectors[0], atol=1e-3)
    finally:
        await resident.aclose()
