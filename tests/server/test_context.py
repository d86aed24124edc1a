"""What does not fit is a 400 with both numbers in every dialect, streaming or not; what fits by a token is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from edgellm.backends.base import InfillTokens, Limits
from edgellm.backends.fake import FakeBackend, reply
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from tests.doubles.live_server import LiveServer, live_server

CONTEXT = 300
LONG = "x" * 400
TALK = [{"role": "user", "content": LONG}]
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": TALK}),
    ("/v1/chat/completions", {"messages": TALK, "max_tokens": 7, "n": 2}),
    ("/v1/completions", {"prompt": LONG}),
    ("/v1/completions", {"prompt": ["a", LONG], "echo": True}),
    ("/v1/completions", {"prompt": [65] * 400}),
    ("/v1/completions", {"prompt": LONG, "suffix": "b"}),
    ("/v1/completions", {"prompt": LONG, "n": 1, "best_of": 1}),
    ("/v1/responses", {"input": LONG}),
    ("/v1/responses", {"input": TALK, "truncation": "auto"}),
    ("/v1/messages", {"messages": TALK, "max_tokens": 7}),
    ("/api/chat", {"messages": TALK}),
    ("/api/generate", {"prompt": LONG}),
    ("/api/generate", {"prompt": LONG, "raw": True}),
    ("/api/generate", {"prompt": LONG, "suffix": "b"}),
    ("/completion", {"prompt": LONG}),
    ("/infill", {"input_prefix": LONG, "input_suffix": "b"}),
]


class InfillBackend(FakeBackend):
    """Spells its fill-in-the-middle tokens in one byte each."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary.infill = InfillTokens(1, 2, 3)


@pytest.fixture(scope="module")
def small() -> Iterator[LiveServer]:
    limits = Limits(cells=CONTEXT, slots=4, batch=128, rows=16)
    model = LocalModel(
        lambda: InfillBackend(script=reply("ok"), limits=limits), ModelSettings(parallel=4), ModelInfo(name="small")
    )
    with live_server(model) as server:
        yield server


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("place", range(len(BODIES)), ids=lambda place: BODIES[place][0])
def test_both_numbers(small: LiveServer, place: int, streaming: bool) -> None:
    path, body = BODIES[place]
    answer = small.post(path, body | {"stream": streaming})
    assert answer.status == 400, answer.body
    assert answer.headers["x-edgellm-error"] == "context_length_exceeded"
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    words = error if isinstance(error, str) else error["message"]
    numbers = [int(part) for part in "".join(c if c.isdigit() else " " for c in words).split()]
    assert CONTEXT in numbers
    assert any(number >= 400 for number in numbers)
    if not path.startswith(("/api/", "/v1/messages")):
        assert error["code"] == "context_length_exceeded"


def test_the_sdks_tell_it(small: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{small.url}/v1", api_key="x", max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as caught:
                client.responses.create(model="small", input=LONG, stream=stream)
            assert caught.value.code == "context_length_exceeded"
    talk: Any = [{"role": "user", "content": LONG}]
    with (
        anthropic.Anthropic(base_url=small.url, api_key="x", max_retries=0) as other,
        pytest.raises(anthropic.BadRequestError, match=f"prompt is too long: .*{CONTEXT}"),
    ):
        other.messages.create(model="small", max_tokens=7, messages=talk)
    with ollama.Client(host=small.url) as third, pytest.raises(ollama.ResponseError, match=str(CONTEXT)) as told:
        third.chat("small", talk)
    assert told.value.status_code == 400


def test_to_the_token(small: LiveServer) -> None:
    """One token of room is enough: the answer is cut, which its finish reason tells."""
    fits = small.post("/v1/completions", {"prompt": [65] * (CONTEXT - 1), "max_tokens": 50})
    assert (fits.status, fits.json()["choices"][0]["finish_reason"]) == (200, "length")
    assert fits.json()["usage"]["completion_tokens"] == 1
    assert small.post("/v1/completions", {"prompt": [65] * CONTEXT, "max_tokens": 1}).status == 400


def test_a_conversation_that_was_truncated_fits(small: LiveServer) -> None:
    turns = [{"role": role, "content": "y" * 60} for _ in range(4) for role in ("user", "assistant")]
    body = {"messages": [*turns, {"role": "user", "content": "hi"}], "max_tokens": 20}
    assert small.post("/v1/chat/completions", body).status == 400
    answer = small.ask("POST", "/v1/chat/completions", json.dumps(body).encode(), {"x-edgellm-truncation": "auto"})
    assert answer.status == 200, answer.body
    assert answer.headers["x-edgellm-truncated"].startswith("messages=")
    assert answer.json()["usage"]["prompt_tokens"] <= CONTEXT - 20
    assert answer.json()["choices"][0]["message"]["content"] == "ok"
