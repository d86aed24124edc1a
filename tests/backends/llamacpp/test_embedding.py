"""Embeddings and scores of GGUF models: against numpy, against llama-cpp-python's own class, alone and side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgellm.backends.llamacpp.embedding import LlamaCppEmbedding
from edgellm.config import ModelSettings
from edgellm.errors import LoadError, Unsupported
from tests import minilm, models, tiny_bert, tiny_model

TEXTS = ["the cat sat on the mat", "What is the capital of France?", "", "zz top, 42!", "a " * 20]
Open = Callable[..., LlamaCppEmbedding]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedding")


@pytest.fixture
def open_() -> Iterator[Open]:
    opened: list[LlamaCppEmbedding] = []

    def opener(path: Path, **settings: object) -> LlamaCppEmbedding:
        given: dict[str, object] = {"threads": 1} | settings
        opened.append(LlamaCppEmbedding.load(path, ModelSettings(**given)))  # type: ignore[arg-type]
        return opened[-1]

    yield opener
    for backend in opened:
        backend.close()


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_an_encoder_gives_what_numpy_gives(folder: Path, open_: Open, pooling: str) -> None:
    backend = open_(tiny_bert.build(folder, pooling=pooling))
    weights = tiny_bert.tensors(tiny_bert.Shape(pooling=pooling))
    inputs = [backend.tokenize(text) for text in TEXTS]
    assert inputs[2] == [tiny_bert.CLS, tiny_bert.SEP]
    rows = backend.compute(inputs)
    assert rows.shape == (len(TEXTS), backend.width) and backend.width == 48
    for tokens, row in zip(inputs, rows, strict=True):
        hidden = tiny_bert.hidden(weights, tokens, 4)
        wanted = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        np.testing.assert_allclose(row, wanted, atol=4e-3)
        np.testing.assert_allclose(row, backend.compute([tokens])[0], atol=1e-5)


def test_the_setting_goes_over_the_file(folder: Path, open_: Open) -> None:
    backend = open_(tiny_bert.build(folder, pooling="mean"), pooling="cls")
    other = open_(tiny_bert.build(folder, pooling="cls"))
    tokens = backend.tokenize(TEXTS[0])
    np.testing.assert_allclose(backend.compute([tokens]), other.compute([tokens]), atol=1e-6)


def test_a_file_that_names_no_pooling_takes_the_mean(folder: Path, open_: Open) -> None:
    backend = open_(tiny_bert.build(folder, pooling=""))
    other = open_(tiny_bert.build(folder, pooling="mean"))
    tokens = backend.tokenize(TEXTS[0])
    assert not backend.ranks
    np.testing.assert_allclose(backend.compute([tokens]), other.compute([tokens]), atol=1e-6)


@pytest.mark.parametrize("pooling", ["rank", ""])
def test_a_head_scores_pairs_as_numpy_does(folder: Path, open_: Open, pooling: str) -> None:
    backend = open_(tiny_bert.build(folder, pooling=pooling, head=True))
    weights = tiny_bert.tensors(tiny_bert.Shape(pooling=pooling, head=True))
    assert backend.ranks and backend.width == 1
    cls, sep = tiny_bert.CLS, tiny_bert.SEP
    pairs = [backend.pair("what is the capital", text) for text in ("paris", "a red cat", "")]
    assert pairs[1].count(sep) == 2 and pairs[1][0] == cls and pairs[1][-1] == sep
    rows = backend.compute(pairs)
    wanted = [tiny_bert.score(weights, tokens, 4) for tokens in pairs]
    np.testing.assert_allclose(backend.raw_scores(rows), wanted, atol=0.02)
    np.testing.assert_allclose(backend.probabilities(rows), 1 / (1 + np.exp(-np.array(wanted))), atol=5e-3)


def test_marks_in_a_document_do_not_end_it(folder: Path, open_: Open) -> None:
    backend = open_(tiny_bert.build(folder, pooling="rank", head=True))
    assert backend.pair("a cat", "[SEP] dog [CLS]").count(tiny_bert.SEP) == 2


def test_what_cannot_rank_says_so(folder: Path) -> None:
    with pytest.raises(Unsupported, match="no tensors that score"):
        LlamaCppEmbedding.load(tiny_bert.build(folder), ModelSettings(pooling="rank"))


def test_a_long_text_is_closed_where_it_is_cut(folder: Path, open_: Open) -> None:
    backend = open_(tiny_bert.build(folder), context=16)
    tokens = backend.tokenize("cat " * 30)
    assert len(tokens) == 32 and backend.longest == 16
    kept = backend.shorten(tokens)
    assert len(kept) == 16 and kept[:15] == tokens[:15] and kept[-1] == tiny_bert.SEP
    assert backend.shorten(tokens[:16]) == tokens[:16]
    assert backend.compute([kept]).shape == (1, 48)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_model_that_writes_embeds_too_in_steps_where_it_may(folder: Path, open_: Open, pooling: str) -> None:
    path = tiny_model.build(folder)
    whole, short = open_(path, pooling=pooling, context=256), open_(path, pooling=pooling, context=256, batch=16)
    tokens = [(7 * place) % 500 + 5 for place in range(200)]
    assert whole.longest == short.longest == 256
    assert cosine(whole.compute([tokens])[0], short.compute([tokens])[0]) > 0.9999
    again = short.compute([tokens[:9], tokens[:5]])
    assert cosine(again[1], whole.compute([tokens[:5]])[0]) > 0.9999


def test_embeddings_are_those_of_llama_cpp_python(folder: Path, open_: Open) -> None:
    """In a process of its own: the package's own class prints, and sets the library's log for itself."""
    path = tiny_bert.build(folder)
    script = (
        "import json, sys, llama_cpp\n"
        "model = llama_cpp.Llama(sys.argv[1], embedding=True, verbose=False, n_ctx=64, n_threads=1)\n"
        "print(json.dumps([model.embed(text, normalize=False) for text in json.loads(sys.argv[2])]))\n"
    )
    command = [sys.executable, "-c", script, str(path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    theirs = np.array(json.loads(done.stdout.splitlines()[-1]))
    backend = open_(path, flash_attention="off")  # as that class has it
    ours = backend.compute([backend.tokenize(text) for text in TEXTS])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_damage_is_told(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_bert.build(folder).read_bytes()[:90_000])
    with pytest.raises(LoadError):
        LlamaCppEmbedding.load(cut, ModelSettings(threads=1))


@pytest.mark.model
def test_minilm_finds_what_belongs_together(folder: Path, open_: Open) -> None:
    backend = open_(minilm.gguf(folder))
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply."]
    rows = backend.compute([backend.tokenize(text) for text in texts])
    assert cosine(rows[0], rows[1]) > 0.5 > 0.2 > cosine(rows[0], rows[2])


@pytest.mark.model
def test_smollm_embeds(open_: Open) -> None:
    backend = open_(models.path("smollm2"), context=512)
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose in March."]
    rows = backend.compute([backend.tokenize(text) for text in texts])
    assert cosine(rows[0], rows[1]) > cosine(rows[0], rows[2])
