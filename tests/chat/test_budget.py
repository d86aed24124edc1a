"""answer_budget: what fits is allowed, what does not is an error with the numbers in it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.budget import answer_budget
from edgellm.errors import ContextOverflow, RequestError


@pytest.mark.parametrize(
    ("prompt", "context", "asked", "budget"),
    [
        (10, 100, None, 90),
        (10, 100, 20, 20),
        (10, 100, 90, 90),
        (10, 100, 91, 90),
        (99, 100, None, 1),
        (99, 100, 50, 1),
    ],
)
def test_budget(prompt: int, context: int, asked: int | None, budget: int) -> None:
    assert answer_budget(prompt, context, asked) == budget


@pytest.mark.parametrize(("asked", "needed"), [(None, 101), (25, 125)])
def test_a_prompt_that_fills_the_context_is_an_error_that_names_all_numbers(asked: int | None, needed: int) -> None:
    with pytest.raises(ContextOverflow) as caught:
        answer_budget(100, 100, asked)
    error = caught.value
    assert (error.needed, error.available) == (needed, 100)
    assert "prompt has 100 tokens" in str(error)
    assert "context holds 100 tokens" in str(error)
    assert ("25 tokens" if asked else "at least 1 token ") in str(error)
    assert "by at least 1 token," in str(error)


@pytest.mark.parametrize("asked", [0, -1])
def test_asking_for_nothing_is_refused(asked: int) -> None:
    with pytest.raises(RequestError, match=f"max_tokens is {asked}"):
        answer_budget(1, 100, asked)


@given(st.integers(0, 300), st.integers(1, 300), st.none() | st.integers(1, 300))
def test_never_past_the_context_never_more_than_asked_and_never_nothing(
    prompt: int, context: int, asked: int | None
) -> None:
    try:
        budget = answer_budget(prompt, context, asked)
    except ContextOverflow:
        assert prompt >= context
    else:
        assert 1 <= budget <= (asked or budget)
        assert prompt + budget <= context
        assert budget == asked or prompt + budget == context
