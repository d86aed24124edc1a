"""Every error class has a status that fits its place in the tree."""

from __future__ import annotations

import json

import pytest

from edgellm import errors
from edgellm.server.error_status import error_body, message_of, response_for, status_of


def every(root: type[errors.EdgeLLMError]) -> list[type[errors.EdgeLLMError]]:
    return [root, *(found for child in root.__subclasses__() for found in every(child))]


@pytest.mark.parametrize("error", every(errors.EdgeLLMError))
def test_the_tree(error: type[errors.EdgeLLMError]) -> None:
    status = status_of(error.code)
    ours = errors.RequestError | errors.ModelNotFound | errors.QueueFull
    theirs = errors.AccessDenied | errors.NotAtSource | errors.RateLimited | errors.Offline  # of a model to fetch
    assert (400 <= status < 500) == issubclass(error, ours | theirs)
    if issubclass(error, errors.RequestError):
        assert status == 400
    if issubclass(error, errors.Unavailable):
        assert status in (429, 502, 503, 504)


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.2, "1"), (2.0, "2"), (2.1, "3"), (float("inf"), "3600")]
)
def test_retry_after(seconds: float, header: str) -> None:
    assert response_for(errors.QueueFull("full", seconds)).headers["retry-after"] == header


def test_other_unavailable_errors_may_be_retried_too() -> None:
    assert response_for(errors.RateLimited("slower", 7.5)).headers["retry-after"] == "8"
    assert response_for(errors.WorkerDied("gone")).headers["retry-after"] == "1"
    assert "retry-after" not in response_for(errors.RequestError("no")).headers


def test_an_overflow_has_both_numbers() -> None:
    assert message_of(errors.ContextOverflow("Too long.", 900, 512)).endswith("(needed 900 tokens, available 512)")
    said = "900 tokens do not fit in 512."
    assert message_of(errors.ContextOverflow(said, 900, 512)) == said


def test_half_a_surrogate_pair_in_a_message() -> None:
    assert json.loads(error_body("unsupported", "no \ud800"))["error"]["message"] == "no ?"
