"""The chat app's own server: same model, same loop, every request on record, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from edgellm.catalog import catalog
from edgellm.cli.chat_server import ChatServer, Through
from edgellm.config import Settings
from edgellm.errors import ConfigError
from edgellm.events import Text
from edgellm.request import Speculation, ask
from edgellm.runtime import assemble, instance, locate
from edgellm.runtime.instance import Instance
from tests.doubles.scripted_model import ScriptedModel
from tests.doubles.vllm_server import vllm_server
from tests.doubles.waiting import until

BODY = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    server = ChatServer(Settings())
    yield server
    await server.stop(at_once=True)


async def said(address: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(f"{address}/v1/chat/completions", json=BODY, timeout=20)).text


async def test_it_serves_the_model_it_is_given_and_notes_each_request(server: ChatServer) -> None:
    await server.start(ScriptedModel([["Fine", ", ", "thanks."]], name="tiny"), 0)
    assert "thanks." in await said(server.address)
    (request,) = server.requests
    await until(lambda: not server.requests[0].running)
    (request,) = server.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/chat/completions", 200)
    assert (request.prompt_tokens, request.tokens) == (7, 3)
    assert request.model == "tiny"


async def test_a_request_is_seen_while_it_is_answered_and_the_model_is_known_to_be_used(server: ChatServer) -> None:
    model = ScriptedModel([["word "] * 500], delay_s=0.01)
    await server.start(model, 0)
    asking = asyncio.create_task(said(server.address))
    async with asyncio.timeout(20):
        await until(lambda: bool(server.requests) and server.requests[0].tokens > 2)
        assert server.requests[0].running
        waiting = asyncio.create_task(server.unused(model))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await server.stop(at_once=True)
        await waiting
    await asyncio.gather(asking, return_exceptions=True)
    assert model.cancelled == 1 and not model.closed


async def test_it_follows_the_chat_to_another_model(server: ChatServer) -> None:
    await server.start(ScriptedModel([["one"]], name="first"), 0)
    assert "one" in await said(server.address)
    server.use(ScriptedModel([["two"]], name="second"))
    assert "two" in await said(server.address)
    async with httpx.AsyncClient(trust_env=False) as client:
        found = (await client.get(f"{server.address}/v1/models")).json()
    assert [one["id"] for one in found["data"]] == ["second"]
    assert [request.path for request in server.requests][-1] == "/v1/models"


async def test_a_port_that_is_taken_is_told_without_flags_of_a_command_line(server: ChatServer) -> None:
    model = ScriptedModel([["x"]])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigError, match="in use") as told:
            await server.start(model, taken.getsockname()[1])
        assert "--port" not in str(told.value) and "/server" in str(told.value)
    assert server.address == ""
    await server.start(model, 0)
    assert server.address


async def test_a_server_that_runs_already_is_used(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await server.start(ScriptedModel([["from ", "there"]], name="tiny"), 0)
    other = Instance(url=server.address, token="t", pid=os.getpid() + 1, created=0.0)
    monkeypatch.setattr(instance, "find", lambda: other)
    monkeypatch.setattr(locate, "locate", lambda name, settings, report: locate.Located(path=tmp_path, name="tiny"))
    app = ChatServer(Settings())
    model = await asyncio.to_thread(app.open_model, "default", Settings(), lambda label, done, total: None)
    try:
        events = [event async for event in model.stream(ask("Hi"))]
        assert "".join(event.text for event in events if isinstance(event, Text)) == "from there"
        assert app.elsewhere(model) == server.address
    finally:
        await model.aclose()
    assert app.elsewhere(ScriptedModel([["x"]])) == ""


async def test_an_option_that_needs_a_load_of_its_own_is_honoured_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Instance(url="http://127.0.0.1:9", token="t", pid=os.getpid() + 1, created=0.0)
    monkeypatch.setattr(instance, "find", lambda: other)
    monkeypatch.setattr(assemble, "open_model", lambda name, settings, report: ScriptedModel([["x"]], name="tiny"))
    app = ChatServer(Settings(), own=("--context",))
    model = app.open_model("default", Settings(), lambda label, done, total: None)
    assert app.elsewhere(model) == ""
    (note,) = model.info.notes
    assert other.url in note and "--context needs a load of its own" in note
    alone = ChatServer(Settings(), local=True, own=("--context",)).open_model("default", Settings(), lambda *_: None)
    assert alone.info.notes == ()


@pytest.mark.parametrize(("asked", "sent"), [("auto", "off"), ("ngram", "ngram")])
async def test_no_speculation_is_asked_of_a_server_too(asked: Speculation, sent: str) -> None:
    inner = ScriptedModel([["x"]])
    model = Through(inner, "http://127.0.0.1:9", "off")  # type: ignore[arg-type]
    async for _ in model.stream(replace(ask("Hi"), speculation=asked)):
        pass
    assert [request.speculation for request in inner.requests] == [sent]


async def test_others_find_it_while_it_is_on(server: ChatServer) -> None:
    await server.start(ScriptedModel([["x"]]), 0)
    found = await asyncio.to_thread(instance.find)
    assert found is not None and found.url == server.address and found.pid == os.getpid()
    await server.stop()
    assert await asyncio.to_thread(instance.find) is None


async def test_it_can_be_turned_off_and_on_again(server: ChatServer) -> None:
    model = ScriptedModel([["x"]])
    await server.start(model, 0)
    first = server.address
    await server.stop()
    assert server.address == "" and not model.closed
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(first)
    await server.stop()
    await server.start(model, 0)
    assert "x" in await said(server.address)


async def test_a_model_of_an_upstream_is_asked_there_and_options_that_it_does_not_hear_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    with vllm_server() as double:
        catalog.own_file().parent.mkdir(parents=True)
        catalog.own_file().write_text(f'[upstreams.far]\nurl = "{double.url}"\n', encoding="utf-8")
        app = ChatServer(Settings(), own=("--threads",))
        model = await asyncio.to_thread(app.open_model, "far/", Settings(), lambda label, done, total: None)
        events = [event async for event in model.stream(ask("Hi"))]
        assert "".join(event.text for event in events if isinstance(event, Text)).startswith("Hello")
        assert model.info.notes[0].startswith("--threads cannot apply here") and app.elsewhere(model) == ""
        await model.aclose()
