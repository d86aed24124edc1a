"""Following copies: verbatim, with changes that come again, and not at all."""

from __future__ import annotations

import random
from itertools import islice

from hypothesis import given, settings, strategies as st

from edgellm.engine.speculative.acceptance import Acceptance
from edgellm.engine.speculative.copying import GROUPS, PRIORS, CopyTrail


def followed(prompt: list[int], answer: list[int], ahead: int = 16) -> tuple[float, CopyTrail]:
    """The mean number of right guesses of `ahead` before each token of `answer`."""
    tokens, right = list(prompt), 0
    trail = CopyTrail(tokens, Acceptance(GROUPS))
    for place, token in enumerate(answer):
        for (guess, chance), real in zip(islice(trail.guesses(), ahead), answer[place:], strict=False):
            assert 0 < chance < 1
            if guess != real:
                break
            right += 1
        tokens.append(token)
        trail.advance()
    return right / len(answer), trail


def source(length: int, seed: int = 1) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(100, 30_000) for _ in range(length)]


def test_a_copy_is_followed_from_its_fourth_token_on() -> None:
    text = source(300)
    right, trail = followed([1, *text, 2, 3], text)
    assert right > 14.5
    assert sum(trail.own.hits) == sum(trail.own.tries) == 297


def test_new_text_is_not_guessed() -> None:
    right, trail = followed(source(300, 1), source(300, 2))
    assert right == 0 and sum(trail.own.tries) == 0


def test_a_renamed_word_is_learned_once_and_guessed_after() -> None:
    text, answer = source(600), []
    for place in range(20, 600, 37):
        text[place : place + 2] = [7, 8]
    place = 0
    while place < len(text):
        renamed = text[place] == 7
        answer += [9, 10, 11] if renamed else [text[place]]
        place += 2 if renamed else 1
    right, trail = followed([1, *text, 2, 3], answer)
    assert right > 14
    assert sum(trail.own.tries) - sum(trail.own.hits) <= 2


def test_a_copy_resumes_behind_what_was_left_out_or_put_in() -> None:
    text = source(200)
    answer = [*text[:60], *source(5, 9), *text[60:120], *text[135:]]
    right, _ = followed([1, *text, 2, 3], answer)
    assert right > 12


def test_what_is_put_into_every_record_is_learned_from_the_first() -> None:
    """As a key added to the objects of a list: what is put in looks like the lines around it."""
    text, answer = [], []
    for place in range(8):
        fields = [[1, 2, 10 + field, 3, 4, *source(2, 50 * place + field), 5] for field in range(4)]
        record = [token for each in fields for token in each][:-1]
        text += [6, *record, 7, 8]
        answer += [6, *record, 5, 1, 2, 20, 3, 4, 21, 7, 8]
    right, trail = followed([*text, 9], answer)
    assert right > 11
    # The first time anything may come; later ones have learned it.
    assert sum(trail.own.tries) - sum(trail.own.hits) <= 6


def test_a_replaced_token_does_not_stop_a_copy() -> None:
    text = source(200)
    answer = [*text[:100], 7, *text[101:]]
    tokens = [1, *text, 2, 3]
    trail = CopyTrail(tokens, Acceptance(GROUPS, priors=PRIORS))
    for place, token in enumerate(answer[:110]):
        tokens.append(token)
        trail.advance()
        if place > 3:
            assert [guess for guess, _ in islice(trail.guesses(), 3)] == text[place + 1 : place + 4]
    assert sum(trail.own.tries) - sum(trail.own.hits) == 1


def test_guesses_that_came_true_in_a_row_are_counted() -> None:
    text = source(60)
    tokens = [1, *text, 2]
    trail = CopyTrail(tokens, Acceptance(GROUPS))
    runs = []
    for token in [*text[:20], 7, *text[21:40]]:
        tokens.append(token)
        trail.advance()
        runs.append(trail.run)
    assert runs[:3] == [0, 0, 0] and runs[19] == 17
    assert runs[20] == 0 and runs[-1] == 19


def test_a_change_that_stays_single_is_unlearned() -> None:
    text = source(400)
    for place in range(30, 400, 40):
        text[place] = 7
    answer = list(text)
    answer[30] = 8
    right, trail = followed([1, *text, 2, 3], answer)
    assert right > 13
    assert sum(trail.own.tries) - sum(trail.own.hits) <= 3


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.lists(st.integers(0, 2), max_size=80))
@settings(deadline=None, max_examples=200)
def test_whatever_comes_guesses_are_tokens_of_the_text_and_each_is_judged_once(
    prompt: list[int], answer: list[int]
) -> None:
    tokens = list(prompt)
    trail = CopyTrail(tokens, Acceptance(GROUPS))
    for place, token in enumerate(answer):
        expected = next(trail.guesses(), None)
        judged = sum(trail.own.tries)
        tokens.append(token)
        trail.advance()
        assert sum(trail.own.tries) == judged + (expected is not None)
        assert all(guess in (0, 1, 2) for guess, _ in islice(trail.guesses(), 40)), place


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.lists(st.integers(0, 2), min_size=1, max_size=40))
@settings(deadline=None)
def test_several_tokens_at_once_are_taken_as_one_by_one(prompt: list[int], answer: list[int]) -> None:
    single, together = list(prompt), list(prompt)
    one, many = (CopyTrail(tokens, Acceptance(GROUPS)) for tokens in (single, together))
    for token in answer:
        single.append(token)
        one.advance()
    together += answer
    many.advance()
    assert one.own == many.own
    assert list(islice(one.guesses(), 20)) == list(islice(many.guesses(), 20))
