"""With keys, no request passes without one, in any dialect; what says only whether the server works stays open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgellm.config import Settings
from edgellm.errors import ConfigError
from edgellm.server.auth import Access, is_loopback
from edgellm.server.key_store import KeyStore
from edgellm.server.serve import access_of
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
TOKEN = "the-token-of-this-server"


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.json")


@pytest.fixture
def locked(model: EchoModel, keys: KeyStore) -> Iterator[LiveServer]:
    with live_server(model, access=Access(keys, always=True, token=TOKEN)) as live:
        yield live


def ask(server: LiveServer, path: str = CHAT, **headers: str) -> int:
    import json

    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.ask("POST", path, json.dumps(BODY).encode(), shown).status


def test_by_either_header(locked: LiveServer, keys: KeyStore) -> None:
    secret = keys.create("me")
    assert ask(locked, authorization=f"Bearer {secret}") == 200
    assert ask(locked, authorization=f"bearer  {secret} ") == 200
    assert ask(locked, x_api_key=secret) == 200
    assert ask(locked, "/v1/messages", x_api_key=secret) == 200
    assert ask(locked, authorization=f"Bearer {TOKEN}") == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer"}, {"authorization": "Bearer nonsense"}, {"x_api_key": ""}, {"x_api_key": "ü"}],
)
def test_without_one(locked: LiveServer, keys: KeyStore, model: EchoModel, headers: dict[str, str]) -> None:
    secret = keys.create("me")
    assert ask(locked, **headers) == 401
    assert ask(locked, authorization=f"Basic {secret}") == 401
    assert ask(locked, authorization=f"Bearer {secret}x") == 401
    assert model.requests == []


def test_each_dialect_has_its_own_words(locked: LiveServer) -> None:
    openai = locked.post(CHAT, BODY)
    assert (openai.status, openai.headers["www-authenticate"]) == (401, "Bearer")
    assert openai.json()["error"]["code"] == "invalid_api_key"
    anthropic = locked.post("/v1/messages", BODY)
    assert (anthropic.status, anthropic.json()["error"]["type"]) == (401, "authentication_error")
    ollama = locked.post("/api/chat", BODY)
    assert ollama.status == 401 and "asks for a key" in ollama.json()["error"]


def test_everything_but_its_well_being_is_closed(locked: LiveServer) -> None:
    document = locked.ask("GET", "/openapi.json")
    assert document.status == 401
    for path in ("/v1/models", "/metrics", "/api/tags", "/v1/../health", "//health", "/health/", "/nothing"):
        assert locked.ask("GET", path).status == 401, path
    assert locked.ask("GET", "/").body == b"edgellm is running"
    assert locked.ask("GET", "/ready").json() == {"status": "ready"}
    assert locked.ask("GET", "/health").json() == {"status": "ok"}
    known = locked.ask("GET", "/health", headers={"x-api-key": TOKEN})
    assert "models" in known.json()


def test_a_revoked_key_is_void_at_once(locked: LiveServer, keys: KeyStore) -> None:
    secret = keys.create("me")
    assert ask(locked, x_api_key=secret) == 200
    keys.revoke("me")
    assert ask(locked, x_api_key=secret) == 401  # and with no key left it is not open to all


def test_on_this_machine_the_first_key_closes_the_door(model: EchoModel, keys: KeyStore) -> None:
    with live_server(model, access=Access(keys)) as server:
        assert ask(server) == 200
        keys.create("me")
        assert ask(server) == 401
        keys.revoke("me")
        assert ask(server) == 200


def test_keys_that_cannot_be_read_let_nobody_in(locked: LiveServer, keys: KeyStore) -> None:
    keys.file.write_text("nonsense")
    reply = locked.ask("POST", CHAT, b"{}", {"x-api-key": "x"})
    assert reply.status == 500 and str(keys.file) not in reply.body.decode()
    assert ask(locked, x_api_key=TOKEN) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_addresses_need_a_key_to_start(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"edgellm keys create.*--no-auth.*dangerous"):
        access_of(Settings(host=host))
    assert not access_of(Settings(host=host, auth="off")).asks()
    KeyStore().create("me")
    assert access_of(Settings(host=host)).asks()


def test_what_is_this_machine_alone() -> None:
    assert all(
        is_loopback(host) for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1")
    )
    assert not any(
        is_loopback(host) for host in ("", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "::ffff:10.0.0.1")
    )
