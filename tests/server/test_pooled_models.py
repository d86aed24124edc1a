"""Several models behind the server: on demand, by name and alias, kept for a time, let go, and listed as they stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from edgellm import config
from edgellm.catalog import aliases, catalog as catalogs, in_place
from edgellm.machine.machine import Machine
from edgellm.runtime.locate import Located
from edgellm.runtime.resident import Opened
from edgellm.server import pooled_models
from edgellm.server.pooled_models import PooledModels
from tests.doubles import gguf_file
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until
from tests.doubles.shelved import shelve

MIB = 2**20
Serve = Callable[..., AbstractContextManager[LiveServer]]


class Loaded(EchoModel):
    """An `EchoModel` that is in memory between `start` and `aclose`."""

    pid: int | None = None
    held = False

    async def start(self) -> None:
        await super().start()
        self.pid = 0
        self.hold = self.held

    async def aclose(self) -> None:
        await super().aclose()
        self.pid = None


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Loaded]]:
    """The models that were opened, by name; each takes 60 MiB."""
    made: dict[str, list[Loaded]] = {}

    def open_double(located: Located, settings: config.Settings, machine: Machine) -> Opened:
        made.setdefault(located.name, []).append(Loaded(located.name))
        return Opened(made[located.name][-1], 60 * MIB)

    monkeypatch.setattr(pooled_models, "opener", lambda kind: open_double)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(in_place, "on_this_machine", list)
    for name in ("one", "two", "three"):
        shelve(tmp_path, name, _header(tmp_path / f"{name}.gguf"))
    return tmp_path


def _header(path: Path) -> Path:
    settings = {
        "general.architecture": "llama",
        "llama.block_count": 1,
        "llama.context_length": 512,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 2,
        "llama.feed_forward_length": 128,
        "tokenizer.ggml.tokens": ["a", "b"],
    }
    tensors = {"token_embd.weight": ((64, 2), "F16"), "blk.0.attn_k.weight": ((64, 64), "F16")}
    return gguf_file.write(path, settings, tensors)


@pytest.fixture
def serve(home: Path, opened: object) -> Serve:
    def make(first: str = "", **flags: Any) -> AbstractContextManager[LiveServer]:
        found = Located(path=home / "data" / "models" / first / f"{first}.gguf", name=first) if first else None
        models = PooledModels(config.load(flags, environ={}), found, ("default",) if first else ())
        return live_server(EchoModel(), models=models)

    return make


@pytest.fixture
def two_at_once(serve: Serve) -> Iterator[LiveServer]:
    with serve(models_memory=130) as live:
        yield live


def say(live: LiveServer, name: str, **more: Any) -> Any:
    return live.post("/api/generate", {"model": name, "prompt": "hello there", "stream": False, **more})


def states(live: LiveServer) -> dict[str, str]:
    return {each["id"]: each["status"]["value"] for each in live.ask("GET", "/v1/models").json()["data"]}


def test_a_model_is_loaded_when_it_is_asked_for(two_at_once: LiveServer) -> None:
    assert states(two_at_once) == {"one": "unloaded", "two": "unloaded", "three": "unloaded"}
    reply = say(two_at_once, "two:latest").json()
    assert (reply["model"], reply["response"]) == ("two", "hello there")
    assert states(two_at_once)["two"] == "loaded"
    body = {"model": "ONE", "messages": [{"role": "user", "content": "hi"}]}
    assert two_at_once.post("/v1/chat/completions", body).json()["model"] == "one"


def test_the_third_takes_the_place_of_one(two_at_once: LiveServer, opened: dict[str, list[Loaded]]) -> None:
    for name in ("one", "two", "one", "two"):
        assert say(two_at_once, name).status == 200
    assert all(len(made) == 1 for made in opened.values())
    say(two_at_once, "three")
    assert sorted(states(two_at_once).values()) == ["loaded", "loaded", "unloaded"]


def test_what_is_not_here_is_said_with_what_is(two_at_once: LiveServer, home: Path) -> None:
    for name in ("four", str(home / "one.gguf"), "../one.gguf", "user/repository", "https://a.example/b.gguf"):
        reply = say(two_at_once, name)
        assert reply.status == 404, name
        assert "one, three, two" in reply.json()["error"] or "Name one of these" in reply.json()["error"]
    assert say(two_at_once, "").status == 404


def test_an_alias_of_this_users_may_lead_to_a_file_and_a_path_may_not(two_at_once: LiveServer, home: Path) -> None:
    file = _header(home / "aside.gguf")
    aliases.move("gpt-4.1", str(file), catalogs.current())
    assert said(two_at_once, "gpt-4.1") == 200
    assert said(two_at_once, str(file)) == 404


def said(server: LiveServer, model: str) -> int:
    """The status of a reply by `model`."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    status: int = httpx.post(f"{server.url}/v1/chat/completions", json=body, trust_env=False).status_code
    return status


def test_keep_alive_lets_go_and_keeps(two_at_once: LiveServer) -> None:
    client = ollama.Client(two_at_once.url)
    client.generate("one", "hi", keep_alive=0)
    wait_until(lambda: states(two_at_once)["one"] == "unloaded")
    client.chat("two", [{"role": "user", "content": "hi"}], keep_alive="10m")
    client.generate("one", keep_alive=-1)
    running = {each.name: each for each in client.ps().models}
    assert set(running) == {"one", "two"}
    assert running["one"].expires_at is not None and running["one"].expires_at.year == 9999
    assert running["two"].expires_at is not None
    assert 590 < running["two"].expires_at.timestamp() - time.time() < 601
    assert running["one"].size == 60 * MIB and running["one"].context_length == 512
    assert client.generate("one", keep_alive=0).done_reason == "unload"
    assert states(two_at_once)["one"] == "unloaded"
    assert client.chat("one").done_reason == "load"


def test_a_keep_alive_that_is_none_is_refused(two_at_once: LiveServer) -> None:
    reply = say(two_at_once, "one", keep_alive="soon")
    assert reply.status == 400 and "keep_alive" in reply.json()["error"]


def test_the_first_model_stays_and_is_the_default(serve: Serve) -> None:
    with serve("one", models_memory=130, keep_alive="0") as live:
        for name in ("", "default", "one", "two"):
            assert say(live, name).status == 200
        wait_until(lambda: states(live)["two"] == "unloaded")
        assert states(live)["one"] == "loaded"
        assert ollama.Client(live.url).generate("one", keep_alive=0).done_reason == "unload"
        assert states(live)["one"] == "unloaded"


def test_what_cannot_fit_is_said_with_both_numbers(serve: Serve) -> None:
    with serve(models_memory=50) as live:
        reply = say(live, "one")
    assert reply.status == 500
    assert "needs 63 MB" in reply.json()["error"] and "may take 52 MB" in reply.json()["error"]


def test_showing_reads_the_file_and_loads_nothing(two_at_once: LiveServer, opened: dict[str, list[Loaded]]) -> None:
    found = ollama.Client(two_at_once.url).show("one")
    assert found.modelinfo is not None and found.modelinfo["general.architecture"] == "llama"
    assert found.capabilities is not None and "completion" in found.capabilities
    assert opened == {}
    assert two_at_once.post("/api/show", {"model": "four"}).status == 404
    assert two_at_once.ask("GET", "/v1/models/one").json()["id"] == "one"


def test_who_hangs_up_while_waiting_waits_no_more(two_at_once: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loaded, "held", True)
    busy = [two_at_once.begin("/api/generate", {"model": name, "prompt": "x"}) for name in ("one", "two")]
    wait_until(lambda: statuses(two_at_once, "running") == {"one": 1, "two": 1, "three": 0})
    third = two_at_once.begin("/api/generate", {"model": "three", "prompt": "x"})
    wait_until(lambda: statuses(two_at_once, "waiting")["three"] == 1)
    third.close()
    wait_until(lambda: statuses(two_at_once, "waiting")["three"] == 0)
    for sock in busy:
        sock.close()
    wait_until(lambda: not any(statuses(two_at_once, "running").values()))
    assert states(two_at_once)["three"] == "unloaded"


def statuses(live: LiveServer, what: str) -> dict[str, int]:
    return {each["id"]: each["status"][what] for each in live.ask("GET", "/v1/models").json()["data"]}
