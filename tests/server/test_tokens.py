"""Texts to tokens and back over HTTP, as llama-server and vLLM have it, and the client that asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from edgellm.messages import user
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import Conversation, Prompt
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer

MESSAGES = [{"role": "user", "content": "one three"}]


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"content": "a bb ccc"}, [1, 2, 3]),
        ({"prompt": "a bb"}, [1, 2]),
        ({"messages": MESSAGES, "model": "echo"}, [3, 5]),
        ({"content": ""}, []),
        ({"content": "a bb", "with_pieces": True}, [{"id": 1, "piece": "x"}, {"id": 2, "piece": "xx"}]),
    ],
)
def test_tokens(server: LiveServer, body: dict[str, Any], tokens: list[Any]) -> None:
    told = server.post("/tokenize", body).json()
    assert told == {"tokens": tokens, "count": len(tokens), "max_model_len": 512}


def test_what_goes_around_a_text_is_as_each_server_has_it(
    server: LiveServer, model: EchoModel, monkeypatch: Any
) -> None:
    asked: list[Any] = []

    async def tokenize(input: Any, *_: Any) -> list[int]:
        asked.append(input)
        return [1]

    monkeypatch.setattr(model, "tokenize", tokenize)
    server.post("/tokenize", {"content": "x"})
    server.post("/tokenize", {"content": "x", "add_special": True})
    server.post("/tokenize", {"prompt": "x"})
    server.post("/tokenize", {"prompt": "x", "add_special_tokens": False})
    assert asked == [Prompt("x", True), Prompt("x"), Prompt("x"), Prompt("x", True)]


def test_back_to_text(server: LiveServer) -> None:
    assert server.post("/detokenize", {"tokens": [1, 2]}).json()["content"] == "xxx"
    assert server.post("/detokenize", {"tokens": []}).json()["content"] == ""
    assert server.post("/apply-template", {"messages": MESSAGES}).json() == {"prompt": "x" * 8}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tokenize", {}, 400),
        ("/tokenize", {"content": "x", "parse_special": False}, 400),
        ("/tokenize", {"content": "x", "model": "other"}, 404),
        ("/detokenize", {"tokens": [-1]}, 400),
        ("/detokenize", {}, 400),
        ("/apply-template", {"messages": []}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(server: LiveServer, path: str, body: dict[str, Any], status: int) -> None:
    assert server.post(path, body).status == status


def test_what_is_known_of_a_model(server: LiveServer) -> None:
    told = server.ask("GET", "/props?model=parrot").json()
    assert told["default_generation_settings"]["n_ctx"] == 512 and told["model_alias"] == "echo"
    assert (told["total_slots"], told["model_path"]) == (2, "")
    assert server.ask("GET", "/props?model=other").status == 404


def test_what_is_busy(server: LiveServer, model: EchoModel) -> None:
    model.open = 1
    assert server.ask("GET", "/slots").json() == [
        {"id": 0, "n_ctx": 512, "is_processing": True},
        {"id": 1, "n_ctx": 512, "is_processing": False},
    ]


def test_the_tokens_of_a_conversation_are_counted(server: LiveServer) -> None:
    for path in ("/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"):
        assert server.post(path, {"messages": MESSAGES, "tools": []}).json() == {"input_tokens": 2}


async def test_our_client_asks_for_them(server: LiveServer) -> None:
    client = OpenAIServer(server.url)
    assert await client.tokenize(Conversation((user("one three"),))) == [3, 5]
    assert await client.tokenize(Prompt("a bb")) == [1, 2]
    await client.aclose()


def test_loading_and_letting_go(server: LiveServer, model: EchoModel) -> None:
    assert server.post("/models/load", {"model": "echo"}).json() == {"success": True} and model.loaded
    assert server.post("/models/unload", {"model": "echo"}).status == 400
    assert server.post("/models/unload", {"model": "other"}).status == 404
