"""Malformed bodies at every address that takes one: an answer or a 4xx in the dialect's own shape, never a 5xx."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from edgellm.backends.base import InfillTokens, Limits
from edgellm.backends.fake import FakeBackend
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from edgellm.server.app import create_app
from edgellm.server.library import Library
from edgellm.server.models import OneModel
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, Reply, live_server
from tests.doubles.odd_bodies import BODIES, odd_text

FEW, MANY = 12, 2000
REFUSED = {"/v1/embeddings", "/api/embed", "/api/embeddings", "/v1/rerank", "/api/create", "/api/push"} | {
    "/models/unload"
}
ABSENT = {"/api/copy", "/api/delete"}
OFFLINE = {"/api/pull"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Everything but the weights is real: templates, tokens, grammars, the engine, and a library without a network."""
    from huggingface_hub import constants

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGELLM_HOME", str(home))
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(FakeBackend, "__init__", _with_infill(FakeBackend.__init__))
        limits = Limits(cells=2000, slots=8, batch=256, rows=32)
        model = LocalModel(lambda: FakeBackend(limits=limits), ModelSettings(parallel=8), ModelInfo(name="fake"))
        with live_server(model, library=Library(offline=True)) as server:
            yield server


def _with_infill(begin: Any) -> Any:
    def init(self: FakeBackend, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        self.vocabulary.infill = InfillTokens(1, 2, 3)

    return init


def send(server: LiveServer, path: str, text: bytes) -> Reply:
    return server.ask("DELETE" if path == "/api/delete" else "POST", path, text, {"content-type": "application/json"})


def check(path: str, reply: Reply, text: bytes) -> None:
    shown = (path, text[:1500], reply.body[:1500])
    assert reply.status in (200, 400, 403, 404, 429), shown
    assert b"internal_error" not in reply.body, shown
    assert b"Something went wrong inside" not in reply.body, shown
    assert b"Traceback" not in reply.body, shown
    if reply.status == 200:
        return
    said = reply.json()
    if path.startswith("/api/"):
        assert list(said) == ["error"], shown
        assert isinstance(said["error"], str) and said["error"], shown
    elif path.startswith("/v1/messages"):
        assert (said["type"], set(said["error"])) == ("error", {"type", "message"}), shown
        assert said["error"]["message"], shown
    else:
        assert set(said["error"]) == {"message", "type", "param", "code"}, shown
        assert said["error"]["message"], shown


def test_every_address_is_here(model: EchoModel) -> None:
    app: Any = create_app(OneModel(model))
    while not hasattr(app, "openapi"):
        app = app.app
    paths = app.openapi()["paths"].items()
    bodied = {path for path, operations in paths for each in operations.values() if "requestBody" in each}
    assert bodied | {"/api/create", "/api/push"} == set(BODIES)


@pytest.mark.parametrize("path", BODIES)
def test_odd_bodies(whole: LiveServer, path: str) -> None:
    status = 400 if path in REFUSED else 404 if path in ABSENT else 403 if path in OFFLINE else 200
    reply = send(whole, path, json.dumps(BODIES[path]).encode())
    assert reply.status == status, reply.body
    rng = random.Random(path)  # the same bodies each time
    for _ in range(FEW):
        text = odd_text(BODIES[path], rng)
        check(path, send(whole, path, text), text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_odd_bodies(whole: LiveServer) -> None:
    rng = random.Random(2026)
    statuses: dict[int, int] = {}
    for index in range(MANY):
        path = list(BODIES)[index % len(BODIES)]
        text = odd_text(BODIES[path], rng)
        reply = send(whole, path, text)
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        check(path, reply, text)
    print(statuses)
    assert whole.ask("GET", "/health").status == 200


@pytest.mark.parametrize("path", [path for path in BODIES if path not in ("/api/create", "/api/push")])
def test_what_is_not_json(server: LiveServer, model: EchoModel, path: str) -> None:
    for raw in (b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000):
        reply = send(server, path, raw)
        assert reply.status == 400
        assert reply.json()["error"]
    assert model.requests == []
