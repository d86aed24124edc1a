"""Pulling, removing and renaming models through Ollama's SDK, from a stand-in for the model hub."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import ollama
import pytest

from edgellm import config, download
from edgellm.catalog import catalog
from edgellm.catalog.reference import HubReference
from edgellm.download import url
from edgellm.model import Model
from edgellm.runtime.standing import Standing
from edgellm.server.library import MOST_PULLS, Library
from edgellm.server.models import OneModel
from edgellm.server.pooled_models import PooledModels
from tests import tiny_model
from tests.doubles.echo_model import EchoModel
from tests.doubles.hub import Fault, HubDouble, Repository, only_hub
from tests.doubles.live_server import LiveServer, live_server, wait_until

DATA = os.urandom(300_000)
NAME, FILE = "maker/Tiny-GGUF", "Tiny-Q4_K_M.gguf"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(url, "FIRST_PAUSE_S", 0.001)
    with only_hub(tmp_path / "huggingface", monkeypatch) as double:
        double.repositories[NAME] = Repository({FILE: DATA, "README.md": b"hello"})
        yield double


@pytest.fixture
def library(hub: HubDouble) -> Library:
    return Library()


@pytest.fixture
def live(library: Library, model: EchoModel) -> Iterator[LiveServer]:
    with live_server(model, library=library) as server:
        yield server


@pytest.fixture
def client(live: LiveServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=live.url, timeout=20) as client:
        yield client


def held() -> Path | None:
    found = download.held(HubReference(NAME))
    return None if found is None else found.path


def test_pull_tells_its_progress(client: ollama.Client, hub: HubDouble) -> None:
    hub.rate = 1_500_000
    lines = list(client.pull(NAME, stream=True))
    assert (lines[0].status, lines[-1].status) == ("pulling manifest", "success")
    counted = [line for line in lines if line.total]
    assert {line.total for line in counted} == {len(DATA)}
    (digest,) = {line.digest for line in counted}
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest or "")
    done = [line.completed or 0 for line in counted]
    assert done == sorted(done)
    assert done[-1] == len(DATA)
    path = held()
    assert path is not None
    assert path.read_bytes() == DATA


def test_pull_whole(client: ollama.Client) -> None:
    assert client.pull(f"hf.co/{NAME}:latest").status == "success"
    assert held() is not None


def test_another_pull_goes_on_where_one_was_left(live: LiveServer, hub: HubDouble, library: Library) -> None:
    large = os.urandom(4 << 20)
    hub.repositories[NAME].change({FILE: large})
    hub.rate = 6 << 20
    sock = live.begin("/api/pull", {"model": NAME})
    assert b"200" in sock.recv(4096)
    wait_until(lambda: hub.served > 2 << 20)
    sock.close()
    wait_until(lambda: library._pulls == 0)
    ours = {"edgellm-pull", "edgellm-download"}
    wait_until(lambda: ours.isdisjoint(thread.name for thread in threading.enumerate()))
    hub.rate = 0.0
    assert live.post("/api/pull", {"model": NAME, "stream": False}).json() == {"status": "success"}
    assert hub.served < 2 * len(large)
    assert any("range" in request.headers for request in hub.requests)
    path = held()
    assert path is not None
    assert path.read_bytes() == large


@pytest.mark.parametrize("streaming", [False, True])
def test_what_cannot_be_fetched_has_its_own_status(client: ollama.Client, hub: HubDouble, streaming: bool) -> None:
    hub.repositories["maker/Closed-GGUF"] = Repository({FILE: DATA}, token="secret", gated=True)
    for name, status in (("maker/Closed-GGUF", 403), ("llama3.2:1b", 404), (f"{NAME}:Q9_9", 404)):
        with pytest.raises(ollama.ResponseError) as caught:
            list(client.pull(name, stream=streaming) or ())
        assert caught.value.status_code == status, caught.value.error
        assert caught.value.error


def test_an_error_in_the_midst_is_the_last_line(live: LiveServer, hub: HubDouble) -> None:
    hub.rate = 200_000
    hub.file_faults.extend([Fault(cut_after=80_000)] + [Fault(status=404)] * 20)
    reply = live.post("/api/pull", {"model": NAME})
    lines = [json.loads(line) for line in reply.body.splitlines()]
    assert reply.status == 200
    assert lines[0]["status"] == "pulling manifest"
    assert "error" in lines[-1]
    assert held() is None


def test_offline_is_refused(hub: HubDouble, model: EchoModel) -> None:
    with live_server(model, library=Library(offline=True)) as server:
        for streaming in (False, True):
            reply = server.post("/api/pull", {"model": NAME, "stream": streaming})
            assert (reply.status, "offline" in reply.json()["error"]) == (403, True)
    assert hub.requests == []


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "./model.gguf",
    "~/model.gguf",
    "C:\\model.gguf",
    "..\\..\\model",
    "model.gguf",
    "a/../../b",
    "a/b/../../../c",
    "hf.co/../../x",
    "file:///etc/passwd",
    "http://127.0.0.1/x.gguf",
    "https://127.0.0.1/x.gguf",
    "https://huggingface.co/maker/Tiny-GGUF/resolve/../../x.gguf",
    "a\u0000b",
    "a\nb",
    "x" * 5000,
    "..",
    ".",
    " ",
]


def test_names_lead_nowhere_else(live: LiveServer, hub: HubDouble, tmp_path: Path) -> None:
    for name in HOSTILE:
        for path, body in (
            ("/api/pull", {"model": name}),
            ("/api/copy", {"source": name, "destination": "mine"}),
            ("/api/delete", {"model": name}),
        ):
            reply = live.ask("DELETE" if "delete" in path else "POST", path, json.dumps(body).encode())
            assert reply.status in (400, 404), (path, name, reply.body)
            assert list(reply.json()) == ["error"]
    assert hub.requests == []
    assert not (tmp_path / "home").exists() or not list((tmp_path / "home").rglob("*.gguf"))


def test_an_alias_for_a_file_of_ones_own_is_left_alone(live: LiveServer, tmp_path: Path, hub: HubDouble) -> None:
    from edgellm.catalog import aliases

    path = tiny_model.build(tmp_path)
    aliases.move("private", str(path), catalog.current())
    assert live.post("/api/pull", {"model": "private"}).status == 400
    reply = live.ask("DELETE", "/api/delete", b'{"model": "private"}')
    assert reply.status == 400
    assert str(tmp_path) not in reply.body.decode()
    assert path.exists()


def test_delete(client: ollama.Client) -> None:
    client.pull(NAME)
    assert client.delete(NAME).status == "success"
    assert held() is None
    with pytest.raises(ollama.ResponseError) as caught:
        client.delete(NAME)
    assert caught.value.status_code == 404


class Unloading(OneModel):
    """Tells which models it was asked to unload."""

    def __init__(self, model: Model, name: str) -> None:
        super().__init__(model)
        self.name = name
        self.unloaded: list[str] = []

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        info = (await self.list())[0].info
        return [(Standing(info=msgspec.structs.replace(info, name=self.name), state="loaded"), self._model)]

    async def unload(self, name: str) -> None:
        self.unloaded.append(name)


def test_what_is_deleted_leaves_memory_first(model: EchoModel, library: Library) -> None:
    models = Unloading(model, NAME)
    with live_server(model, models=models, library=library) as server, ollama.Client(host=server.url) as client:
        client.pull(NAME)
        client.delete(NAME)
    assert models.unloaded == [NAME]
    assert held() is None


def test_copy_gives_another_name(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client.copy(NAME, "mine")
    assert caught.value.status_code == 404
    client.pull(NAME)
    assert client.copy(NAME, "mine:latest").status == "success"
    assert catalog.resolve("mine") == HubReference(NAME)
    for wrong in ("a/b", "../x", "", "smollm2-360m", "has space"):
        with pytest.raises(ollama.ResponseError) as caught:
            client.copy(NAME, wrong)
        assert caught.value.status_code == 400, wrong
    client.delete("mine")
    assert held() is None


def test_what_was_pulled_is_there_at_once(hub: HubDouble, library: Library, tmp_path: Path) -> None:
    hub.repositories[NAME].change({FILE: tiny_model.build(tmp_path).read_bytes()})
    models = PooledModels(config.load({}))
    with live_server(EchoModel(), models=models, library=library) as server, ollama.Client(host=server.url) as client:
        assert client.list().models == []
        client.pull(NAME)
        assert [model.model for model in client.list().models] == [NAME]
        assert client.show(NAME).modelinfo
        client.delete(NAME)
        assert client.list().models == []
        with pytest.raises(ollama.ResponseError):
            client.show(NAME)


def test_pulls_are_limited(live: LiveServer, library: Library) -> None:
    for _ in range(MOST_PULLS):
        library.admit()
    reply = live.post("/api/pull", {"model": NAME})
    assert (reply.status, reply.headers["retry-after"]) == (429, "30")


def test_what_this_server_does_not_do(live: LiveServer, server: LiveServer) -> None:
    assert live.post("/api/create", {"model": "a"}).status == 400
    assert live.post("/api/push", {"model": "a"}).status == 400
    wrong: list[Any] = [{}, {"model": 7}, {"model": "a", "stream": "yes"}, []]
    for body in wrong:
        assert live.post("/api/pull", body).status == 400
    for path in ("/api/pull", "/api/copy"):  # a server without a library
        reply = server.post(path, {"model": NAME, "source": NAME, "destination": "a"})
        assert (reply.status, list(reply.json())) == (400, ["error"])
