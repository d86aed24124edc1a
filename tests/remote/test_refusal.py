"""What HTTP errors of other servers mean here: the class of the error, its numbers, and what to do about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from edgellm.errors import (
    ContextOverflow,
    EdgeLLMError,
    KeyRefused,
    ModelNotFound,
    QueueFull,
    RequestError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
    WorkerDied,
)
from edgellm.remote.refusal import broken_off, refusal, seconds, without_key


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, '{"error": {"message": "no such thing"}}', RequestError, "no such thing"),
        (307, "", UpstreamFailed, "leads elsewhere"),
        (401, '{"error": "bad key"}', KeyRefused, "bad key. Give an API key"),
        (403, '{"error": "not yours"}', KeyRefused, "not yours"),
        (404, '{"detail": "not found"}', ModelNotFound, "not found"),
        (429, "", QueueFull, "429"),
        (500, "<html>oops</html>", UpstreamFailed, "without a reason"),
        (502, '{"message": "bad gateway"}', UpstreamFailed, "bad gateway"),
        (503, '{"error": {"message": "Loading model"}}', Unavailable, "Loading model"),
        (504, "", UpstreamTimeout, "504"),
        (503, '{"error": {"message": "gone", "code": "worker_died"}}', WorkerDied, "gone"),
    ],
)
def test_the_class_of_an_error(status: int, body: str, error: type[EdgeLLMError], words: str) -> None:
    found = refusal("The upstream far", status, body)
    assert type(found) is error and words in str(found)
    assert str(found).startswith("The upstream far") or error is WorkerDied


@pytest.mark.parametrize(
    ("header", "wanted"), [("7", 7.0), ("0.5", 0.5), (None, 1.0), ("soon", 1.0), ("", 1.0), ("9" * 30, 1.0)]
)
def test_when_to_come_back(header: str | None, wanted: float) -> None:
    found = refusal("It", 429, '{"error": {"message": "slow down", "code": 429}}', header)
    assert isinstance(found, QueueFull) and found.retry_after_s == wanted


def test_when_to_come_back_by_date_and_with_a_code_of_ours() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 60 < seconds(soon) <= 90
    assert seconds(format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)) == 0.0
    found = refusal("It", 429, '{"error": {"message": "full", "code": "queue_full"}}', "12")
    assert isinstance(found, QueueFull) and found.retry_after_s == 12.0


@pytest.mark.parametrize(
    ("message", "needed", "available"),
    [
        (
            "This model's maximum context length is 1024 tokens. However, your prompt contains at least 1025 input "
            "tokens, which exceeds this limit even without any output tokens. (parameter=input_tokens, value=1025)",
            1025,
            1024,
        ),
        ("max_tokens=2000 cannot be greater than max_model_len=1024. Please request fewer tokens.", 2000, 1024),
        ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", 5000, 4096),
        ("the context length is exceeded", 0, 0),
    ],
)
def test_both_numbers_of_an_overflow(message: str, needed: int, available: int) -> None:
    found = refusal("It", 400, json.dumps({"error": {"message": message}}))
    assert isinstance(found, ContextOverflow)
    assert (found.needed, found.available) == (needed, available)


def test_an_error_in_a_stream() -> None:
    assert isinstance(broken_off({"message": "EngineCore died", "code": 500}), UpstreamFailed)
    assert isinstance(broken_off({"message": "gone", "code": "worker_died"}), WorkerDied)


def test_a_key_is_struck_out_of_an_error_and_a_word_is_not() -> None:
    assert without_key("Incorrect key: sk-1234.", "sk-1234") == "Incorrect key: ***."
    assert without_key("data is EMPTY", "EMPTY") == "data is EMPTY" and without_key("text", "") == "text"
