"""Text to ids and back: nothing is lost, whatever the text holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.backends.llamacpp.vocabulary import LlamaVocabulary
from tests import tiny_model


@pytest.fixture(scope="module")
def vocabulary(shared: LlamaCppBackend) -> LlamaVocabulary:
    return shared.vocabulary


def text_of(vocabulary: LlamaVocabulary, ids: list[int], *, special: bool = False) -> str:
    return b"".join(vocabulary.piece(token, special=special) for token in ids).decode()


def test_what_the_file_says_of_its_vocabulary(vocabulary: LlamaVocabulary) -> None:
    tokens, _ = tiny_model.vocabulary(512)
    assert len(vocabulary) == len(tokens) == 512
    assert vocabulary.bos == tokens.index(tiny_model.BOS)
    assert vocabulary.eos == tokens.index(tiny_model.EOS)
    assert vocabulary.end_tokens == {tokens.index(tiny_model.EOS), tokens.index(tiny_model.IM_END)}
    assert vocabulary.template == tiny_model.CHATML


def test_a_model_without_a_template(load, tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert load(tiny_model.build(tmp_path, template=None)).vocabulary.template is None


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_any_text_round_trips(vocabulary: LlamaVocabulary, text: str) -> None:
    ids = vocabulary.tokenize(text, special=False, add_bos=False)
    assert text_of(vocabulary, ids) == text


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["<|im_end|>", "a", " ", "\x00", "é", "\n", "😀", "<|"])).map("".join))
def test_texts_made_of_awkward_pieces_round_trip(vocabulary: LlamaVocabulary, text: str) -> None:
    plain = vocabulary.tokenize(text, special=False, add_bos=False)
    read = vocabulary.tokenize(text, special=True, add_bos=False)
    assert text_of(vocabulary, plain) == text == text_of(vocabulary, read, special=True)
    assert not vocabulary.end_tokens.intersection(plain)
    assert len(vocabulary.end_tokens.intersection(read)) == ("<|im_end|>" in text)


@pytest.mark.parametrize("text", ["", "\x00", "a\x00b\x00", "\x00\x00", "x" * 20_000])
def test_nul_bytes_empty_and_long_texts(vocabulary: LlamaVocabulary, text: str) -> None:
    assert text_of(vocabulary, vocabulary.tokenize(text, special=True, add_bos=False)) == text


def test_half_a_surrogate_pair_becomes_the_replacement_character(vocabulary: LlamaVocabulary) -> None:
    ids = vocabulary.tokenize("a\ud800b", special=False, add_bos=False)
    assert text_of(vocabulary, ids) == "a\ufffdb"
    whole = vocabulary.tokenize("\ud83d\ude00", special=False, add_bos=False)
    assert text_of(vocabulary, whole) == "😀"


def test_bos_is_added_only_on_request(vocabulary: LlamaVocabulary) -> None:
    with_bos = vocabulary.tokenize("house", special=False, add_bos=True)
    assert with_bos == [vocabulary.bos, *vocabulary.tokenize("house", special=False, add_bos=False)]


def test_control_tokens_have_no_bytes_unless_asked_for(vocabulary: LlamaVocabulary) -> None:
    (token,) = vocabulary.tokenize(tiny_model.IM_START, special=True, add_bos=False)
    assert vocabulary.piece(token) == b""
    assert vocabulary.piece(token, special=True) == b"<|im_start|>"
    assert len(vocabulary.tokenize(tiny_model.IM_START, special=False, add_bos=False)) > 1


def test_merged_tokens_are_used(vocabulary: LlamaVocabulary) -> None:
    assert len(vocabulary.tokenize(" capital", special=False, add_bos=False)) == 1


def test_all_pieces_are_those_of_each_token(vocabulary: LlamaVocabulary) -> None:
    assert list(vocabulary.pieces()) == [vocabulary.piece(token, special=True) for token in range(len(vocabulary))]
