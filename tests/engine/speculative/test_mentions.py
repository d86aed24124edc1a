"""Words that a request quotes: found where they begin in the text, whatever tokens they are made of."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.engine.speculative.acceptance import Acceptance
from edgellm.engine.speculative.copying import GROUPS, PRIORS, CopyTrail
from edgellm.engine.speculative.mentions import Mentions

PIECES = [
    b"Rename ", b"`", b"peri", b"meter", b"` to ", b"`edge", b"`:\n", b"def", b" perimeter", b"(self", b"):\n",
    b".peri", b" area", b"_peri", b"total", b"experi", b" return", b" x", b"\n",
]  # fmt: skip


def tokens(*pieces: bytes) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


REQUEST = tokens(b"Rename ", b"`", b"peri", b"meter", b"` to ", b"`edge", b"`:\n")
TEXT = tokens(
    b"def", b" perimeter", b"(self", b"):\n", b" return", b" area", b"\n", b"total", b"_peri", b"meter", b"\n",
    b"experi", b"meter", b"\n", b".peri", b"meter", b" x", b"peri", b" x",
)  # fmt: skip


def mentions() -> Mentions:
    made = Mentions([*REQUEST, *TEXT], PIECES.__getitem__)
    made.read(len(REQUEST))
    return made


def test_quoted_words_are_found_where_they_begin() -> None:
    made = mentions()
    found = [place for place in range(len(TEXT)) if made.passed(len(REQUEST) + place) is not None]
    assert [PIECES[TEXT[place]] for place in found] == [b" perimeter", b"_peri", b".peri"]


def test_nothing_is_known_before_the_request_was_read() -> None:
    made = Mentions([*REQUEST, *TEXT], PIECES.__getitem__)
    assert all(made.passed(place) is None for place in range(len(REQUEST) + len(TEXT)))


def test_it_counts_how_often_a_word_stayed() -> None:
    made, place = mentions(), len(REQUEST) + 1
    assert made.passed(place) == 0
    made.copied(place)
    made.copied(place + 1)
    assert made.passed(place) == 1


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=20), st.lists(st.integers(0, 19), max_size=40))
def test_any_bytes_will_do(pieces: list[bytes], text: list[int]) -> None:
    made = Mentions([each % len(pieces) for each in text], pieces.__getitem__)
    made.read(len(text) // 2)
    assert all(made.passed(place) in (None, 0) for place in range(len(text)))


def test_a_copy_is_doubted_where_it_comes_to_a_quoted_word() -> None:
    begun = tokens(b"def", b" x", b" area", b"(self", b"):\n", b"total", b" x", b"def")
    sure = []
    for piece in (None, PIECES.__getitem__):
        followed = [*REQUEST, *begun, *TEXT[1:]]
        trail = CopyTrail(followed, Acceptance(GROUPS, priors=PRIORS), piece)
        for token in begun:
            followed.append(token)
            trail.advance()
        guess, chance = next(trail.guesses())
        assert PIECES[guess] == b" perimeter"
        sure.append(chance)
    assert sure[1] < sure[0]
