"""The suffix index: grown token by token as if built at once, and its places are those a scan would find."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from edgellm.engine.speculative.ngram import ORDERS, SuffixIndex

TEXTS = st.lists(st.integers(0, 3), min_size=1, max_size=120)


def grown(tokens: list[int], built: int) -> SuffixIndex:
    mine = tokens[:built]
    index = SuffixIndex(mine)
    for token in tokens[built:]:
        mine.append(token)
        index.take_one()
    return index


def scan(tokens: list[int]) -> list[int]:
    """Places behind earlier occurrences of the longest indexed run at the end, latest first."""
    for order in ORDERS:
        run, ends = tokens[-order:], range(len(tokens) - 1, order - 1, -1)
        if found := [end for end in ends if tokens[end - order : end] == run]:
            return found
    return []


@given(TEXTS, st.integers(0, 120))
@settings(deadline=None)
def test_places_are_those_of_a_scan_however_it_was_built(tokens: list[int], built: int) -> None:
    index = grown(tokens, min(built, len(tokens)))
    assert list(index.places(most=200)) == scan(tokens)
    assert list(index.places(most=2)) == scan(tokens)[:2]


@given(TEXTS, st.integers(0, 120), st.lists(st.booleans(), min_size=120, max_size=120))
@settings(deadline=None)
def test_what_is_left_over_may_be_done_at_any_time(tokens: list[int], built: int, completed: list[bool]) -> None:
    mine = tokens[:built]
    index = SuffixIndex(mine)
    for token, now in zip(tokens[built:], completed, strict=False):
        mine.append(token)
        index.take_one()
        if now:
            index.complete()
        assert index.repeats == any(mine[end - 3 : end] == mine[-3:] for end in range(3, len(mine)))
    whole = SuffixIndex(tokens)
    assert [index.rival(place) for place in range(len(tokens))] == [whole.rival(place) for place in range(len(tokens))]
    assert list(index.places()) == list(whole.places())


@given(TEXTS)
@settings(deadline=None)
def test_agreement_counts_equal_tokens_backwards(tokens: list[int]) -> None:
    index = SuffixIndex(tokens)
    for place in range(len(tokens)):
        expected = 0
        while expected < min(64, place) and tokens[place - 1 - expected] == tokens[-1 - expected]:
            expected += 1
        found = index.agreement(place)
        assert found == expected


def test_a_rival_is_another_continuation_of_the_same_run() -> None:
    run = [1, 2, 3, 4, 5, 6]
    tokens = [*run, 7, 9, *run, 8, 9, *run]
    index = SuffixIndex(tokens)
    assert index.rival(6)
    assert not index.rival(14)
    assert not index.rival(3)


def test_long_texts_take_a_few_hash_lookups_a_token() -> None:
    tokens = list(range(20_000))
    index = grown(tokens, 19_000)
    assert list(index.places()) == []
    tokens = [*tokens, *tokens[5_000:5_020]]
    index = grown(tokens, 19_500)
    assert list(index.places()) == [5_020]
    assert index.agreement(5_020) == 20
