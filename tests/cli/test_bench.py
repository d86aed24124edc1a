"""`edgellm bench` from end to end: on the engine with a backend without weights, and against a server beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from edgellm.backends.base import Limits
from edgellm.backends.fake import FakeBackend, reply
from edgellm.cli.benchmark.cases import KINDS
from edgellm.config import ModelSettings
from edgellm.errors import LoadError
from edgellm.machine import bandwidth
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server

ANSWER = "A short answer, and the same to every question."


@pytest.fixture(autouse=True)
def _quick_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "measure", lambda machine, kept: 12.5e9)


@pytest.fixture
def model(command) -> LocalModel:  # type: ignore[no-untyped-def]
    limits = Limits(cells=16384, slots=16, batch=512, rows=64)
    local = LocalModel(lambda: FakeBackend(reply(ANSWER), limits=limits), ModelSettings(), ModelInfo(name="fake"))
    command.use(local)
    return local


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server(EchoModel()) as live:
        yield live


def test_it_measures_and_tells(command, model) -> None:
    outcome = command("bench", "--quick")
    assert outcome.code == 0, outcome.err
    for piece in ("fake", "prompt tokens", "after tokens", "rows in a step", *KINDS, "Guessing ahead is on"):
        assert piece in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert outcome.err.splitlines()[0] == "1 of 15: a prompt of 128 tokens, and 24 more"


def test_json_has_every_figure(command, model) -> None:
    found = json.loads(command("bench", "--quick", "--json").out)
    assert [each["tokens"] for each in found["prefill"]] == [128, 512]
    assert all(each["tokens_per_s"] > 0 for each in found["prefill"] + found["decode"])
    assert [each["kind"] for each in found["kinds"]] == list(KINDS)
    assert all(each["plain_per_s"] > 0 and each["speedup"] > 0 for each in found["kinds"])
    assert found["step_ms"]["1"] > 0 and len(found["step_ms"]) > 3
    assert found["rivals"] == [] and found["url"] == ""


def test_another_server_is_asked_the_same(command, model, server) -> None:
    outcome = command("bench", "--quick", "--json", "--compare", server.url)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["rival_model"], found["url"]) == ("echo", server.url + "/v1")
    assert [each["kind"] for each in found["rivals"]] == list(KINDS)
    assert all(each["first_ms"] > 0 for each in found["rivals"])
    assert "echo there" in outcome.err


def test_rounds_ask_again(command, model) -> None:
    found = json.loads(command("bench", "--quick", "--json", "--rounds", "2").out)
    assert {each["runs"] for each in found["kinds"]} == {2}


def test_a_server_that_is_not_there_ends_it_before_anything_is_measured(command, model) -> None:
    outcome = command("bench", "--quick", "--compare", "http://127.0.0.1:9")
    assert (outcome.code, outcome.out) == (1, "")
    assert "cannot reach http://127.0.0.1:9/v1" in outcome.err and "1 of" not in outcome.err


def test_a_model_that_does_not_load_is_one_line(command, monkeypatch) -> None:
    def build() -> FakeBackend:
        raise LoadError("it is broken. Get another.")

    command.use(LocalModel(build, ModelSettings(), ModelInfo(name="fake")))
    outcome = command("bench")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1


def test_ctrl_c_ends_it_without_a_word(command, model, monkeypatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgellm.cli.benchmark.measure.ask", interrupted)
    outcome = command("bench", "--quick")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err
