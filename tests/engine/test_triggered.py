"""Triggered: free text, a grammar from a mark on, and free text again behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgellm.engine.thoughts import Thoughts
from edgellm.engine.triggered import Triggered, TriggeredState
from tests.engine.test_thoughts import CLOSE, EVERY, LINE, OPEN, PIECES, A, B, Braces

BRACE, UNBRACE, LESS, TEE, END = 5, 6, 7, 8, 10


class Marked(Braces):
    """Allows what `mark` is made of, then braces."""

    tokens: tuple[int, ...] = (OPEN, BRACE, UNBRACE)

    def start(self, stops: object) -> Marked:
        made = type(self)()
        made.tokens = self.tokens
        return made

    @property
    def ended(self) -> bool:
        return len(self.seen) == len(self.tokens)

    def allows(self, token: int) -> bool:
        return token == (*self.tokens, END)[len(self.seen)]

    def forced(self) -> list[int]:
        return list(self.tokens[len(self.seen) :])

    def agreeing(self, drafts: object) -> int:
        wanted = [*self.tokens, END][len(self.seen) :]
        assert isinstance(drafts, list)
        pairs = enumerate(zip(drafts, wanted, strict=False))
        return next((i for i, (a, b) in pairs if a != b), min(len(drafts), len(wanted)))


def state(*tokens: int, mark: bytes = b"<t>") -> TriggeredState:
    grammar = Marked()
    grammar.tokens = tokens or grammar.tokens
    return Triggered(piece=PIECES.__getitem__, mark=mark, grammar=grammar).start([END])


def allowed(at: TriggeredState) -> list[int]:
    mask = at.mask()
    found = EVERY if mask is None else np.flatnonzero(mask).tolist()
    assert found == [token for token in EVERY if at.allows(token)]
    return found


def written(at: TriggeredState, *tokens: int) -> TriggeredState:
    for token in tokens:
        assert at.allows(token)
        at.advance(token)
    return at


def test_before_the_mark_everything_is_allowed() -> None:
    assert allowed(written(state(), A, BRACE, END)) == EVERY


def test_from_the_mark_on_the_grammar_holds_and_then_lets_go() -> None:
    at = written(state(), A, OPEN)
    assert allowed(at) == [BRACE]
    assert allowed(written(at, BRACE)) == [UNBRACE]
    assert allowed(written(at, UNBRACE)) == EVERY
    assert allowed(written(at, B, OPEN)) == [BRACE]


def test_a_mark_of_several_tokens_and_one_that_ends_within_a_token() -> None:
    assert allowed(written(state(LESS, TEE, BRACE, UNBRACE), A, LESS, TEE)) == [BRACE]
    assert allowed(written(state(LESS, TEE, BRACE, UNBRACE, mark=b"<t"), LESS, TEE)) == [BRACE]


@pytest.mark.parametrize("mark", [b"t>", b"a<t"])
def test_a_mark_that_begins_within_a_token_or_that_the_grammar_writes_otherwise_triggers_nothing(mark: bytes) -> None:
    assert allowed(written(state(mark=mark), A, OPEN)) == EVERY


def test_behind_thoughts() -> None:
    plan = Thoughts(
        piece=PIECES.__getitem__,
        size=len(PIECES),
        open=True,
        opening=b"<t>",
        opener=OPEN,
        closing=b"</t>",
        forced=(LINE, CLOSE, LINE),
        budget=3,
        answer=Triggered(piece=PIECES.__getitem__, mark=b"<t>", grammar=Marked()),
        loose=True,
    )
    at = plan.start([END])
    for token in (A, OPEN, CLOSE):
        assert at.mask() is None
        at.advance(token)
    at.advance(OPEN)
    mask = at.mask()
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == [BRACE]


@given(st.lists(st.sampled_from(EVERY), max_size=12), st.lists(st.sampled_from(EVERY), max_size=8))
def test_drafts_that_agree_are_allowed_one_after_the_other(before: list[int], drafts: list[int]) -> None:
    at = state()
    for token in before:
        if token != END and at.allows(token):
            at.advance(token)
    count = at.agreeing(drafts)
    for token in drafts[:count]:
        assert at.allows(token)
        at.advance(token)
    if count < len(drafts) and drafts[count - 1] != END and at.inner is not None:
        assert not at.allows(drafts[count])


def test_only_what_the_grammar_forces_is_forced() -> None:
    made = state()
    assert made.forced() == []
    made.inner = made.plan.grammar.start(frozenset({END}))
    assert made.forced() == made.inner.forced() != []
