"""Instructions, sampling and presets, as a person sets them."""

from __future__ import annotations

from textual.widgets import Select

from tests.doubles.scripted_model import ScriptedModel
from tui.screens.settings import SettingsScreen
from tui.store import presets


async def shown(running) -> SettingsScreen:  # type: ignore[no-untyped-def]
    await running.pilot.press("f3")
    await running.until(lambda: isinstance(running.app.screen, SettingsScreen) and running.app.screen.is_mounted)
    await running.pilot.pause()
    screen = running.app.screen
    assert isinstance(screen, SettingsScreen)
    return screen


async def test_what_is_set_holds_for_the_conversation(start) -> None:
    async with start() as running:
        await running.ready()
        screen = await shown(running)
        screen._system.text = "Be brief."
        screen._fields["temperature"].value = "0.2"
        await running.pilot.press("ctrl+s")
        await running.until(lambda: running.app.screen is running.app.chat_screen)
        assert running.app.controller.options.system == "Be brief."
        assert running.app.controller.options.sampling == {"temperature": 0.2}


async def test_what_is_no_number_or_out_of_range_is_told(start) -> None:
    async with start() as running:
        await running.ready()
        screen = await shown(running)
        for value, word in (("warm", "not a number"), ("-3", "temperature")):
            screen._fields["temperature"].value = value
            await running.pilot.press("ctrl+s")
            await running.until(lambda word=word: word in str(screen._error.render()))
        assert running.app.controller.options.sampling == {}


async def test_a_preset_is_kept_taken_elsewhere_and_dropped(start) -> None:
    async with start() as running:
        await running.ready()
        controller = running.app.controller
        screen = await shown(running)
        screen._system.text, screen._kept_as.value = "Talk like a pirate.", "Pirate"
        await running.pilot.press("ctrl+s")
        await running.until(lambda: running.app.screen is running.app.chat_screen)
        await controller.new()
        assert controller.options.system == ""
        await running.type("/preset pirate")
        await running.pilot.press("enter")
        await running.until(lambda: controller.options.system == "Talk like a pirate.")
        await controller.new()
        screen = await shown(running)
        await running.until(lambda: "Pirate" in screen._presets)
        screen.query_one(Select).value = "Pirate"
        await running.until(lambda: screen._system.text == "Talk like a pirate.")
        await running.pilot.press("ctrl+d")
        await running.until(lambda: not screen._presets)
        assert await running.app.store.read(presets.listing) == ()


async def test_whether_the_model_thinks_first_goes_with_each_request(start) -> None:
    model = ScriptedModel([["Four."]])
    async with start(model) as running:
        await running.ready()
        controller = running.app.controller
        screen = await shown(running)
        screen._thinking.value, screen._kept_as.value = False, "Quick"
        await running.pilot.press("ctrl+s")
        await running.until(lambda: running.app.screen is running.app.chat_screen)
        await running.say("Two and two?")
        assert model.requests[0].thinking is False
        await controller.configure(thinking=None)
        await running.app.dialogs.take_preset("quick")
        await controller.new()
        assert controller.options.thinking is False
        screen = await shown(running)
        assert screen._thinking.value is False
        screen._thinking.clear()
        await running.pilot.press("ctrl+s")
        await running.until(lambda: controller.options.thinking is None)
