"""Downloads can be stopped by a key; what is used elsewhere is not closed under it."""

from __future__ import annotations

import asyncio
import threading

from tests.doubles.fake_server import FakeServer
from tests.doubles.scripted_model import ScriptedModel


async def test_a_download_is_stopped_by_a_key_and_the_model_before_goes_on(start) -> None:
    model, stopped = ScriptedModel([["still here"]], name="old"), threading.Event()

    def open_model(name, settings, report):  # type: ignore[no-untyped-def]
        if name == "default":
            return model
        try:
            for done in range(1000):
                report("fetching big", done, 1000)
                threading.Event().wait(0.02)
        finally:
            stopped.set()
        raise AssertionError("nobody stopped it")

    async with start(open_model=open_model) as running:
        await running.ready()
        await running.type("/model big")
        await running.pilot.press("enter")
        footer = running.app.chat_screen.footer
        await running.until(lambda: running.app.models.opening and "F6 cancel" in str(footer.render()))
        assert running.app.chat_screen.header.model == "old"
        await running.pilot.press("f6")
        await running.until(stopped.is_set)
        await running.until(lambda: "F6 cancel" not in str(footer.render()))
        await running.say("Anybody?")
        assert running.texts[-1][1] == "still here"


async def test_without_any_model_it_is_told_how_to_go_on(start) -> None:
    model, again = ScriptedModel([["Here."]]), threading.Event()

    def open_model(name, settings, report):  # type: ignore[no-untyped-def]
        while not again.wait(0.02):
            report("fetching big", 1, 1000)
        return model

    async with start(open_model=open_model) as running:
        await running.until(lambda: running.app.models.opening)
        await running.pilot.press("f6")
        notice = running.app.chat_screen.query_one("#notice")
        await running.until(lambda: "/retry" in str(notice.render()))
        again.set()
        await running.type("/retry")
        await running.pilot.press("enter")
        await running.ready()
        assert not notice.has_class("-shown")


async def test_a_model_is_closed_when_the_server_needs_it_no_more(start) -> None:
    models = {"default": ScriptedModel([["a"]], name="a"), "b": ScriptedModel([["b"]], name="b")}
    server, done = FakeServer(), asyncio.Event()

    async def unused(model) -> None:  # type: ignore[no-untyped-def]
        await done.wait()

    server.unused = unused  # type: ignore[method-assign]
    async with start(server=server, open_model=lambda name, settings, report: models[name]) as running:
        await running.ready()
        await running.type("/model b")
        await running.pilot.press("enter")
        await running.until(lambda: running.app.controller.model is models["b"])
        await running.ready()
        assert not models["default"].closed
        done.set()
        await running.until(lambda: models["default"].closed)
