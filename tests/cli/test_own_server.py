"""Commands that use the running server: `run` and `chat` go through it, `ps` and `stop` ask it, `show` needs none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgellm.cli import own_server
from edgellm.config import Settings
from edgellm.machine.machine import Machine
from edgellm.runtime import instance
from edgellm.runtime.instance import Instance
from edgellm.runtime.locate import Located
from edgellm.runtime.resident import Opened
from edgellm.server import pooled_models
from edgellm.server.pooled_models import PooledModels
from tests.doubles import gguf_file
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server
from tests.doubles.shelved import shelve

HEADER = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.context_length": 512,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 2,
    "tokenizer.ggml.tokens": ["a", "b"],
    "tokenizer.chat_template": "{{ messages[0].content }}<tool_call>",
}


class Loaded(EchoModel):
    """An `EchoModel` that is in memory between `start` and `aclose`."""

    pid: int | None = None

    async def start(self) -> None:
        await super().start()
        self.pid = 0

    async def aclose(self) -> None:
        await super().aclose()
        self.pid = None


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Loaded]:
    made: list[Loaded] = []

    def open_double(located: Located, settings: Settings, machine: Machine) -> Opened:
        made.append(Loaded(located.name))
        return Opened(made[-1], 60 << 20)

    monkeypatch.setattr(pooled_models, "opener", lambda kind: open_double)
    return made


@pytest.fixture
def shelf(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    path = gguf_file.write(home / "parrot.gguf", HEADER, {"token_embd.weight": ((64, 2), "F16")})
    return shelve(home, "parrot", path)


@pytest.fixture
def server(shelf: Path, opened: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    with live_server(EchoModel(), models=PooledModels(Settings())) as live:
        other = Instance(url=live.url, token="t", pid=1, created=1.0)
        monkeypatch.setattr(instance, "find", lambda: other)
        monkeypatch.setattr(own_server.sys.stderr, "isatty", lambda: True)
        yield live


def test_an_answer_comes_from_the_server(command: Any, server: LiveServer, opened: list[Loaded]) -> None:
    outcome = command("run", "hello there", "-m", "parrot", "--temperature", "0.5", "--no-speculation", "--stats")
    assert (outcome.code, outcome.out) == (0, "hello there\n")
    (request,) = opened[0].requests
    assert (request.sampling.temperature, request.speculation) == (0.5, "off")
    outcome = command("run", "--raw", "as it is", "-m", "parrot")
    assert outcome.out == "as it is\n"


def test_a_conversation_goes_through_the_server(command: Any, server: LiveServer, opened: list[Loaded]) -> None:
    outcome = command("chat", "--plain", "-m", "parrot", stdin=b"one\ntwo\n")
    assert outcome.code == 0 and "one" in outcome.out and "two" in outcome.out
    assert [len(request.input.messages) for request in opened[0].requests] == [1, 3]


@pytest.mark.parametrize(
    "flags", [["--local"], ["--context", "99"], ["--threads", "1"], ["-m", "./parrot.gguf"], ["-m", "other"]]
)
def test_what_the_server_cannot_do_is_done_here(
    command: Any, server: LiveServer, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgellm.runtime import assemble

    monkeypatch.setattr(assemble, "open_named", lambda *_: SimpleNamespace(model=EchoModel("here")))
    assert command("run", "hello", "-m", "parrot", *flags).out == "hello\n"
    assert server.ask("GET", "/api/ps").json() == {"models": []}


def test_no_server(command: Any) -> None:
    for words in (("ps",), ("ps", "--json"), ("stop", "parrot")):
        outcome = command(*words)
        assert (outcome.code, outcome.out) == (1, "")
        assert "No edgellm server runs" in outcome.err and "edgellm serve" in outcome.err


def test_ps_and_stop(command: Any, server: LiveServer) -> None:
    assert "no model in memory" in command("ps").out
    assert json.loads(command("ps", "--json").out) == []
    assert command("stop", "parrot").out == "parrot is not in memory.\n"
    command("run", "hello", "-m", "parrot")
    (row,) = json.loads(command("ps", "--json").out)
    assert (row["name"], row["state"], row["memory_bytes"], row["running"]) == ("parrot", "loaded", 60 << 20, 0)
    shown = command("ps").out.splitlines()
    assert shown[0].split() == ["NAME", "MEMORY", "CONTEXT", "RUNNING", "WAITING", "UNTIL"]
    assert shown[1].startswith("parrot  62.9 MB") and shown[1].endswith("5 min from now")
    assert command("stop", "parrot").out == "parrot is out of memory.\n"
    assert json.loads(command("ps", "--json").out) == []
    outcome = command("stop", "nobody")
    assert outcome.code == 1 and "nobody" in outcome.err


def test_show_needs_no_server(command: Any, shelf: Path) -> None:
    outcome = command("show", "parrot")
    assert outcome.code == 0
    assert "llama" in outcome.out and "512 tokens" in outcome.out and "completion, tools" in outcome.out
    told = json.loads(command("show", str(shelf), "--json").out)
    assert (told["architecture"], told["context"], told["layers"], told["path"]) == ("llama", 512, 1, str(shelf))
    assert command("show", "parrot", "--template").out == HEADER["tokenizer.chat_template"] + "\n"
    assert command("show", "nobody").code == 1
