"""Detokenizer: whole characters only, and nothing lost or changed by how the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.detokenize import Detokenizer


def detokenizer(pieces: list[bytes]) -> Detokenizer:
    return Detokenizer(pieces.__getitem__)


def pushed(pieces: list[bytes]) -> list[str]:
    d = detokenizer(pieces)
    return [d.push(token) for token in range(len(pieces))] + [d.flush()]


def test_an_emoji_split_over_four_tokens_comes_out_once_whole() -> None:
    assert pushed([b"\xf0", b"\x9f", b"\x98", b"\x80", b"!"]) == ["", "", "", "😀", "!", ""]


def test_text_before_an_incomplete_character_is_not_held_back() -> None:
    assert pushed([b"caf\xc3", b"\xa9 ol"]) == ["caf", "é ol", ""]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([b"a\xe2\x82"], ["a", "\ufffd"]),
        ([b"\x80", b"b"], ["\ufffd", "b", ""]),
        ([b"\xf0\x9f", b"x"], ["", "\ufffdx", ""]),
        ([b"\xff\xfe"], ["\ufffd\ufffd", ""]),
        ([b"\xed\xa0\x80"], ["\ufffd\ufffd\ufffd", ""]),
        ([b"", b""], ["", "", ""]),
    ],
    ids=["cut off", "lone continuation", "broken off", "never valid", "surrogate", "no text"],
)
def test_broken_bytes_become_replacement_characters(pieces: list[bytes], texts: list[str]) -> None:
    assert pushed(pieces) == texts


def test_after_flush_a_new_text_can_begin() -> None:
    d = detokenizer([b"\xf0\x9f", b"ok"])
    assert (d.push(0), d.flush(), d.push(1), d.flush()) == ("", "\ufffd", "ok", "")


@given(st.lists(st.binary(max_size=5)))
def test_any_bytes_in_any_split_equal_decoding_them_at_once(pieces: list[bytes]) -> None:
    assert "".join(pushed(pieces)) == b"".join(pieces).decode("utf-8", "replace")


@given(st.text(), st.lists(st.integers(0, 80)))
def test_valid_text_never_shows_a_replacement_character(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore").encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    out = pushed([data[a:b] for a, b in itertools.pairwise(edges)])
    assert "".join(out) == data.decode()
    assert out[-1] == ""
