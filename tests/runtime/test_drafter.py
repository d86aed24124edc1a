"""Loading a draft model: what is refused, in which words, and that the model goes on without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgellm.backends.base import Backend, Capabilities, Limits
from edgellm.backends.fake import ByteVocabulary, FakeBackend
from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.engine.speculative.draft_model import Ask, DraftModel
from edgellm.errors import ModelNotFound
from edgellm.runtime import drafter
from tests import tiny_model


class Renamed(ByteVocabulary):
    """Another tokenizer: token 65 is something else."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b"\xffother" if token == 65 else super().piece(token, special=special)


def load(draft: Backend, target: Backend | None = None) -> tuple[DraftModel | None, str]:
    return drafter.load_drafter(
        drafter.DraftSource(lambda limits: draft), target or FakeBackend(), clock=time.perf_counter, prefix_cache=True
    )


def test_a_model_of_the_same_tokenizer_drafts() -> None:
    model, note = load(FakeBackend())
    assert model is not None and note == ""
    assert len(model.draft([Ask(1, [1, 2], 4)], lambda id, draft: True).drafts[1].tokens) == 4


def test_another_tokenizer_is_refused_by_its_first_different_token() -> None:
    draft = FakeBackend()
    draft.vocabulary = Renamed()
    model, note = load(draft)
    assert model is None and draft.closed
    assert "token 65 is '\\\\xffother' instead of 'A'" in note
    assert note.startswith("Going on without a draft model: fake has another tokenizer")


@pytest.mark.parametrize("which", ["target", "draft"])
def test_what_cannot_go_back_is_refused(which: str) -> None:
    recurrent = FakeBackend(capabilities=Capabilities(trim=False))
    model, note = load(recurrent, FakeBackend()) if which == "draft" else load(FakeBackend(), recurrent)
    assert model is None and "cannot go back" in note


def test_a_draft_that_does_not_load_costs_nothing_but_a_note() -> None:
    def build(limits: Limits) -> Backend:
        raise ModelNotFound("there is no model file x.gguf. Check the path.")

    model, note = drafter.load_drafter(
        drafter.DraftSource(build), FakeBackend(), clock=time.perf_counter, prefix_cache=True
    )
    assert model is None and "x.gguf" in note


def test_it_is_loaded_smaller_than_its_target() -> None:
    settings = ModelSettings(context=0, slots=64, parallel=8, gpu_layers=10, threads=3)
    chosen = drafter.draft_settings(settings, Limits(cells=32768, slots=64, batch=512, rows=64))
    assert (chosen.context, chosen.slots, chosen.gpu_layers, chosen.threads) == (16384, 8, -1, 3)
    few = drafter.draft_settings(ModelSettings(gpu_layers=0), Limits(cells=2048, slots=64, batch=512, rows=64))
    assert (few.context, few.gpu_layers) == (2048, 0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def target(tiny: Path) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend.load(tiny, ModelSettings(context=512, slots=4, parallel=4))
    yield backend
    backend.close()


def load_file(path: Path, target: Backend) -> tuple[DraftModel | None, str]:
    return drafter.load_drafter(
        drafter.DraftSource(lambda limits: drafter.load_draft(path, ModelSettings(slots=4, parallel=4), limits)),
        target,
        clock=time.perf_counter,
        prefix_cache=True,
    )


def test_a_file_drafts_for_another_in_one_process(tiny: Path, target: LlamaCppBackend) -> None:
    model, note = load_file(tiny_model.build(tiny.parent, seed=1, layers=1), target)
    assert model is not None and not note
    ids = target.vocabulary.tokenize("The quick brown fox", special=False, add_bos=True)
    draft = model.draft([Ask(1, ids, 5), Ask(2, ids[:3], 3)], lambda id, draft: True).drafts
    assert (len(draft[1].tokens), len(draft[2].tokens)) == (5, 3)
    assert all(0 < value <= 1 for value in draft[1].confidence)
    model.close()
    model.close()


def test_a_file_with_another_vocabulary_is_refused(tiny: Path, target: LlamaCppBackend) -> None:
    model, note = load_file(tiny_model.build(tiny.parent, vocabulary=400), target)
    assert model is None and "another tokenizer" in note


def test_a_file_that_does_not_fit_is_refused_before_it_is_loaded(
    tiny: Path, target: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafter, "_free_memory", lambda: 100 << 20)
    monkeypatch.setattr(LlamaCppBackend, "load", lambda *_: pytest.fail("it was loaded"))
    model, note = load_file(tiny, target)
    assert model is None and "100 are free" in note


def test_a_draft_that_was_seen_to_cost_too_much_stays_on_disk(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    settings, flat = ModelSettings(), {1: 10.0, 4: 10.5, 16: 12.0}
    first = drafter.draft_source(tiny, settings, flat)
    assert first is not None  # nothing is known of it yet
    first.timed({1: 9.0, 32: 40.0})
    assert drafter.draft_source(tiny, settings, flat) is None
    assert drafter.draft_source(tiny, settings, {}) is not None  # somebody named it
    first.timed({1: 1.0, 32: 10.0})
    assert drafter.draft_source(tiny, settings, flat) is not None
    steep = {1: 10.0, 4: 40.0, 16: 160.0}
    assert drafter.draft_source(tiny, settings, steep) is None
