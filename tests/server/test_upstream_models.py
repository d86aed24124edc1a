"""Models of upstreams behind the server: listed, asked in every dialect, and failing in words and with fit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgellm import config
from edgellm.catalog import catalog, in_place
from edgellm.errors import NotEnoughMemory
from edgellm.server.models import OneModel
from edgellm.server.upstream_models import UpstreamModels
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until
from tests.doubles.vllm_server import NAME, VllmServer, vllm_server

HI = [{"role": "user", "content": "hi"}]
Answer = Callable[..., Any]


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmServer]:
    """An upstream `far` with a key, and one that is not there."""
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    monkeypatch.setenv("FAR_KEY", "sk-good")
    monkeypatch.setattr(in_place, "on_this_machine", list)
    with vllm_server(key="sk-good") as double:
        write(double)
        yield double


def write(double: VllmServer, more: str = "") -> None:
    own = catalog.own_file()
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(
        f'[upstreams.far]\nurl = "{double.url}/v1"\nkey = "env:FAR_KEY"\n{more}\n'
        '[upstreams.gone]\nurl = "http://127.0.0.1:9"\nmodels = ["lost"]\n',
        encoding="utf-8",
    )


@contextmanager
def serving(here: EchoModel | None = None, **settings: Any) -> Iterator[LiveServer]:
    loaded = config.load({"upstream_wait": 20.0, **settings}, environ={})
    model = here or EchoModel()
    with live_server(model, models=UpstreamModels(OneModel(model), loaded)) as live:
        yield live


def chat(live: LiveServer, model: str = "far/", **more: Any) -> Any:
    return live.post("/v1/chat/completions", {"model": model, "messages": HI, **more})


def test_they_are_listed_beside_those_here(far: VllmServer) -> None:
    with serving() as live:
        listed = {each["id"]: each for each in live.ask("GET", "/v1/models").json()["data"]}
        assert list(listed) == ["echo", f"far/{NAME}", "gone/lost"]
        assert "upstream" not in listed["echo"]
        assert listed[f"far/{NAME}"]["upstream"] == {"name": "far", "answers": True, "problem": ""}
        assert listed[f"far/{NAME}"]["meta"]["n_ctx"] > 0 and listed[f"far/{NAME}"]["status"]["value"] == "loaded"
        assert listed["gone/lost"]["upstream"]["problem"].startswith("Cannot reach the upstream gone")
        tags = {each["name"]: each for each in live.ask("GET", "/api/tags").json()["models"]}
        assert (tags[f"far/{NAME}"]["remote_model"], tags[f"far/{NAME}"]["remote_host"]) == (NAME, "far")
        assert live.ask("GET", f"/v1/models/far/{NAME}").json()["id"] == f"far/{NAME}"
        assert far.listed == 1, "asked once for all of that"


def test_every_dialect_reaches_them(far: VllmServer) -> None:
    with serving() as live:
        assert chat(live).json()["choices"][0]["message"]["content"].startswith("Hello there")
        told = live.post("/v1/messages", {"model": f"far/{NAME}", "messages": HI, "max_tokens": 3}).json()
        assert (told["content"][0]["text"], told["stop_reason"]) == ("Hello there !", "max_tokens")
        told = live.post("/api/chat", {"model": "far/smollm2-135m-instruct", "messages": HI, "stream": False}).json()
        assert told["message"]["content"].startswith("Hello") and told["model"] == f"far/{NAME}"
        told = live.post("/v1/responses", {"model": "far/", "input": "hi"}).json()
        assert told["output"][0]["content"][0]["text"].startswith("Hello")
        assert live.post("/tokenize", {"model": "far/", "prompt": "one two"}).json()["count"] == 2
        assert chat(live, "echo").json()["choices"][0]["message"]["content"] == "hi"
        figures = live.ask("GET", "/metrics").body
        assert f"far/{NAME}".encode() in figures and b"sk-good" not in figures
        assert [body["temperature"] for body in far.bodies] == [0.2] * 4, "as its makers recommend, from the first on"


def test_aliases_and_the_default_may_be_theirs(far: VllmServer) -> None:
    write(far, "")
    own = catalog.own_file()
    own.write_text(own.read_text() + '[aliases]\nbig = ["far/", "smollm2"]\n', encoding="utf-8")
    with serving(model="big") as live:
        for name in ("big", "default", ""):
            assert chat(live, name).json()["model"] == f"far/{NAME}"


def test_tools_formats_and_warnings(far: VllmServer) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    with serving() as live:
        choice = chat(live, tools=tools, tool_choice="required").json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        told = chat(live, response_format=schema, speculation="ngram").json()
        assert json.loads(told["choices"][0]["message"]["content"]) == {"city": "Paris"}
        assert "speculation is up to the upstream" in told["warnings"][0]
        told = chat(live, logprobs=True, top_logprobs=1, max_tokens=2).json()["choices"][0]
        assert [each["token"] for each in told["logprobs"]["content"]] == ["Hello", " there"]


def test_hanging_up_here_hangs_up_there(far: VllmServer) -> None:
    far.pause_s = 5.0
    with serving() as live:
        for stream in (True, False):
            sock = live.begin("/v1/chat/completions", {"model": "far/", "messages": HI, "stream": stream})
            wait_until(lambda: far.running == 1)
            sock.close()
            wait_until(lambda: far.running == 0)
    assert far.cancelled == 2


def test_many_at_once_of_which_half_hang_up(far: VllmServer) -> None:
    """Also while the upstream is asked for the first time: who leaves takes nobody else along."""
    far.listing_s, far.first_s = 0.1, 0.1
    body = {"model": f"far/{NAME}", "messages": HI, "stream": True}
    with serving() as live, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(chat, live, f"far/{NAME}") for _ in range(20)]
        socks = [live.begin("/v1/chat/completions", body) for _ in range(20)]
        for sock in socks:
            sock.close()
        assert [answer.result().status for answer in answers] == [200] * 20
        wait_until(lambda: far.running == 0)
        assert chat(live).status == 200


def test_an_upstream_that_dies_in_the_middle(far: VllmServer) -> None:
    far.break_after = 3
    with serving() as live:
        told = chat(live, stream=True)
        assert told.status == 200
        *said, last = [json.loads(line[6:]) for line in told.body.decode().split("\n\n") if line.startswith("data: {")]
        assert "".join(each["choices"][0]["delta"].get("content") or "" for each in said) == "Hello there"
        assert last["error"]["code"] == "upstream_failed" and "The upstream far broke off" in last["error"]["message"]
        assert "[DONE]" not in told.body.decode()
        assert chat(live).status == 502
    assert len(far.bodies) == 2, "none was asked twice"


@pytest.mark.parametrize(
    ("refuse", "status", "code", "header"),
    [
        ((429, '{"error": {"message": "busy", "code": 429}}', {"retry-after": "17"}), 429, "queue_full", "17"),
        ((500, "oops", {}), 502, "upstream_failed", None),
        ((307, "", {"location": "http://127.0.0.1:9/v1"}), 502, "upstream_failed", None),
        ((503, '{"error": {"message": "loading"}}', {}), 503, "unavailable", "1"),
        ((401, '{"error": {"message": "Incorrect key: sk-good"}}', {}), 502, "upstream_key_refused", None),
        ((400, '{"error": {"message": "no such thing"}}', {}), 400, "invalid_request", None),
    ],
)
def test_what_it_refuses(far: VllmServer, refuse: Any, status: int, code: str, header: str | None) -> None:
    far.refuse = refuse
    with serving() as live:
        told = chat(live)
    assert (told.status, told.headers["x-edgellm-error"], told.headers.get("retry-after")) == (status, code, header)
    assert "The upstream far answered" in told.json()["error"]["message"]
    assert b"sk-good" not in told.body and far.url.encode() not in told.body


def test_nobody_there_a_wrong_key_and_no_such_model(far: VllmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as live:
        told = chat(live, "gone/lost")
        assert (told.status, told.headers["x-edgellm-error"]) == (502, "upstream_failed")
        told = chat(live, "far/nobody")
        assert told.status == 404 and NAME in told.json()["error"]["message"]
        monkeypatch.setenv("FAR_KEY", "sk-wrong")
        told = chat(live)
        assert (told.status, told.headers["x-edgellm-error"]) == (502, "upstream_key_refused")
        assert "FAR_KEY" in told.json()["error"]["message"] and b"sk-wrong" not in told.body
        monkeypatch.delenv("FAR_KEY")
        told = chat(live, f"far/{NAME}")
        assert (told.status, told.headers["x-edgellm-error"]) == (500, "config_error")


def test_words_that_do_not_come_in_time(far: VllmServer) -> None:
    far.first_s, far.pings = 5.0, True
    write(far, "first_token_s = 0.2")
    with serving() as live:
        told = chat(live, stream=True)
        assert (told.status, told.headers["x-edgellm-error"]) == (504, "upstream_timeout")
    wait_until(lambda: far.running == 0)


def test_offline_only_this_machine_is_asked(far: VllmServer) -> None:
    own = catalog.own_file()
    own.write_text(own.read_text() + '[upstreams.away]\nurl = "http://192.0.2.1:1"\n', encoding="utf-8")
    with serving(offline=True) as live:
        assert chat(live).status == 200
        told = chat(live, "away/x")
        assert (told.status, told.headers["x-edgellm-error"]) == (403, "offline")


def test_what_they_do_not_do(far: VllmServer) -> None:
    with serving() as live:
        assert live.post("/v1/embeddings", {"model": "far/", "input": "x"}).status == 400
        assert live.post("/models/unload", {"model": "far/"}).status == 400
        assert live.post("/models/load", {"model": "far/"}).json() == {"success": True}
        assert live.post("/models/load", {"model": "gone/lost"}).status == 502


def test_what_does_not_fit_here_is_offered_there(far: VllmServer) -> None:
    here = EchoModel("smollm2")
    here.refuse = NotEnoughMemory("It needs 9 GB.", 9, 5)
    with serving(here) as live:
        told = chat(live, "smollm2")
    assert told.headers["x-edgellm-error"] == "not_enough_memory"
    assert f"`edgellm run -m far/{NAME}`" in told.json()["error"]["message"]
    assert not far.bodies, "it is offered, not used"


def test_an_edgellm_may_be_one(far: VllmServer) -> None:
    behind = EchoModel("parrot")
    with live_server(behind, aliases=("bird",)) as other:
        catalog.own_file().write_text(f'[upstreams.edge]\nurl = "{other.url}"\n', encoding="utf-8")
        with serving() as live:
            assert chat(live, "edge/bird", speculation="ngram").json()["model"] == "edge/parrot"
            assert behind.requests[-1].speculation == "ngram"
            behind.refuse = NotEnoughMemory("It needs 9 GB.", 9, 5)
            assert chat(live, "edge/parrot").headers["x-edgellm-error"] == "not_enough_memory"
