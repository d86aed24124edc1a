"""The server beside the chat, as a person turns it on, watches it and turns it off."""

from __future__ import annotations

from tests.doubles.fake_server import FakeServer
from tests.doubles.scripted_model import ScriptedModel
from tui.screens.server import ServerScreen
from tui.server_control import Served


def text(running) -> str:  # type: ignore[no-untyped-def]
    return "\n".join(str(static.render()) for static in running.app.screen.query("Static"))


async def test_it_is_turned_on_watched_and_turned_off(start) -> None:
    server = FakeServer()
    async with start(server=server) as running:
        await running.ready()
        await running.pilot.press("f5")
        await running.until(lambda: isinstance(running.app.screen, ServerScreen))
        await running.until(lambda: "Enter turns it on" in text(running))
        await running.pilot.press("enter")
        await running.until(lambda: "http://127.0.0.1:8080/v1" in text(running))
        assert server.model is running.app.controller.model and running.app.chat_screen.header.serving
        server.ask(
            Served(method="POST", path="/v1/messages", begun=0.0, status=200, seconds=1.5, prompt_tokens=9, tokens=42)
        )
        await running.until(lambda: "/v1/messages" in text(running) and "9 → 42 tok" in text(running))
        await running.pilot.press("enter")
        await running.until(lambda: server.address == "" and "○ off" in text(running))
        await running.pilot.press("escape")
        await running.until(lambda: running.app.screen is running.app.chat_screen)
        assert running.app.chat_screen.header.serving == ""


async def test_it_is_turned_on_by_a_command_and_follows_the_model(start) -> None:
    server = FakeServer()
    models = {"default": ScriptedModel([["a"]], name="a"), "b": ScriptedModel([["b"]], name="b")}
    async with start(server=server, open_model=lambda name, settings, report: models[name]) as running:
        await running.ready()
        await running.type("/server 8081")
        await running.pilot.press("enter")
        await running.until(lambda: server.address == "http://127.0.0.1:8081")
        await running.type("/model b")
        await running.pilot.press("enter")
        await running.until(lambda: server.model is models["b"])
        await running.pilot.press("ctrl+q")
        await running.until(lambda: not running.app.is_running)
    assert server.address == ""


async def test_a_port_that_is_taken_is_told(start) -> None:
    server = FakeServer()
    async with start(server=server) as running:
        await running.ready()
        await running.type("/server 1")
        await running.pilot.press("enter")
        await running.until(lambda: any("in use" in note.message for note in running.app._notifications))
        assert not running.app.chat_screen.header.serving


async def test_a_server_of_another_process_is_told_of_and_left_alone(start) -> None:
    server = FakeServer()
    server.other = "http://127.0.0.1:11435"
    async with start(server=server) as running:
        await running.ready()
        assert running.app.chat_screen.header.through == "127.0.0.1:11435"
        await running.pilot.press("f5")
        await running.until(lambda: "another process" in text(running))
        assert "OPENAI_BASE_URL=http://127.0.0.1:11435/v1" in text(running) and "Enter" not in text(running)
        await running.pilot.press("enter")
        await running.pilot.pause(0.05)
        assert server.model is None and server.address == ""
