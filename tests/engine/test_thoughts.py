"""Thoughts: free while they last, ended by their tag or their budget, the answer under its own constraint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgellm.engine.constraint import Mask
from edgellm.engine.thoughts import Thoughts, ThoughtsState

PIECES = [b"a", b"b", b"<t>", b"</t>", b"\n", b"{", b"}", b"<", b"t>", b"</", b"END"]
A, B, OPEN, CLOSE, LINE, BRACE, UNBRACE, LESS, TEE, UNLESS, END = range(len(PIECES))


class Braces:
    """Allows `{`, then `}`, then nothing but an end."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def start(self, stops: Iterable[int]) -> Braces:
        return Braces()

    @property
    def ended(self) -> bool:
        return len(self.seen) == 2

    def allows(self, token: int) -> bool:
        return token == {0: BRACE, 1: UNBRACE, 2: END}[len(self.seen)]

    def mask(self) -> Mask:
        return np.array([self.allows(token) for token in range(len(PIECES))])

    def advance(self, token: int) -> None:
        assert self.allows(token)
        self.seen.append(token)

    def forced(self) -> list[int]:
        return [BRACE, UNBRACE][len(self.seen) :]

    def agreeing(self, drafts: Sequence[int]) -> int:
        wanted = [BRACE, UNBRACE, END][len(self.seen) :]
        return next((i for i, (a, b) in enumerate(zip(drafts, wanted, strict=False)) if a != b), len(drafts))


def state(**options: Any) -> ThoughtsState:
    plan: dict[str, Any] = {
        "piece": PIECES.__getitem__,
        "size": len(PIECES),
        "open": False,
        "opening": b"<t>",
        "opener": OPEN,
        "closing": b"</t>",
        "forced": (LINE, CLOSE, LINE),
        "gaps": frozenset({LINE}),
    }
    return Thoughts(**(plan | options)).start([END])


def allowed(at: ThoughtsState) -> list[int]:
    mask = at.mask()
    tokens = list(range(len(PIECES))) if mask is None else np.flatnonzero(mask).tolist()
    assert tokens == [token for token in range(len(PIECES)) if at.allows(token)]
    return tokens


def written(at: ThoughtsState, *tokens: int) -> ThoughtsState:
    for token in tokens:
        assert at.allows(token)
        at.advance(token)
    return at


EVERY = list(range(len(PIECES)))


def test_without_budget_and_grammar_everything_is_allowed() -> None:
    at = written(state(open=True), A, B, CLOSE, LINE, A, END)
    assert allowed(at) == EVERY
    assert not at.ended


def test_a_spent_budget_forces_the_closing_tag_and_then_lets_go() -> None:
    at = written(state(open=True, budget=2), A, B)
    for forced in (LINE, CLOSE, LINE):
        assert allowed(at) == [forced]
        at.advance(forced)
    assert allowed(at) == EVERY


def test_thoughts_that_end_within_their_budget_are_not_cut() -> None:
    assert allowed(written(state(open=True, budget=3), A, CLOSE, LINE, A, A, A)) == EVERY


def test_a_closing_tag_of_several_tokens_is_seen() -> None:
    assert allowed(written(state(open=True, budget=3), A, UNLESS, TEE, A, A)) == EVERY


def test_the_budget_counts_from_the_opening_tag() -> None:
    at = written(state(budget=1), OPEN, A)
    assert allowed(at) == [LINE]
    assert allowed(written(state(budget=1), LESS, TEE, A)) == [LINE]


def test_an_answer_without_thoughts_has_no_budget() -> None:
    assert allowed(written(state(budget=1), A, OPEN, A, A, A)) == EVERY


@pytest.mark.parametrize("open", [True, False])
def test_no_budget_at_all_closes_at_once(open: bool) -> None:
    at = state(open=open, budget=0) if open else written(state(budget=0), OPEN)
    assert allowed(at) == [LINE]


def test_the_grammar_holds_from_the_end_of_the_thoughts_on() -> None:
    at = written(state(open=True, answer=Braces()), A, BRACE, UNBRACE, UNBRACE)
    assert allowed(at) == [token for token in EVERY if token != END]
    assert allowed(written(at, CLOSE)) == [LINE, BRACE]
    assert allowed(written(at, LINE)) == [BRACE]
    assert written(at, BRACE, UNBRACE).ended


def test_under_a_grammar_an_answer_may_still_begin_with_thoughts() -> None:
    assert allowed(state(answer=Braces())) == [OPEN, BRACE]
    assert written(state(answer=Braces()), BRACE, UNBRACE).ended
    assert written(state(answer=Braces()), OPEN, A, CLOSE, BRACE, UNBRACE).ended
    assert allowed(state(answer=Braces(), budget=0)) == [BRACE]
    assert allowed(state(answer=Braces(), opener=None)) == [BRACE]


def test_budget_and_grammar_follow_each_other() -> None:
    at = written(state(open=True, budget=1, answer=Braces()), A, LINE, CLOSE, LINE)
    assert allowed(at) == [BRACE]


plans = st.fixed_dictionaries(
    {
        "open": st.booleans(),
        "budget": st.none() | st.integers(0, 4),
        "answer": st.sampled_from([None, Braces()]),
        "opener": st.sampled_from([OPEN, None]),
    }
)


@given(plans, st.lists(st.sampled_from(EVERY), max_size=12), st.lists(st.sampled_from(EVERY), max_size=8))
def test_drafts_agree_exactly_as_far_as_tokens_are_allowed(
    options: dict[str, Any], before: list[int], drafts: list[int]
) -> None:
    at = state(**options)
    for token in before:
        if token == END or at.ended or not at.allows(token):
            continue
        at.advance(token)
    if at.ended:
        return
    count = at.agreeing(drafts)
    for index, token in enumerate(drafts):
        if not at.allows(token):
            assert count == index
            return
        at.advance(token)
        if token == END or at.ended:
            assert count >= index + 1
            return
    assert count == len(drafts)
