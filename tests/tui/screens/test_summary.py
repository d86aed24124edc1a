"""A summary is shown before it is used, can be changed, and is not used unless that is said."""

from __future__ import annotations

from edgellm.events import Text
from tests.doubles.context_model import ContextModel
from tui.notices import Offer, Summarized
from tui.screens.outgrown import OutgrownScreen
from tui.screens.summary import SummaryScreen, is_weak


async def outgrow(running) -> SummaryScreen:  # type: ignore[no-untyped-def]
    """Until the model has written a summary."""
    app = running.app
    await running.ready()
    for turn in range(9):
        if isinstance(app.screen, OutgrownScreen):
            break
        await app.controller.send(" ".join([f"turn{turn}"] * 40))
        await app.controller.settled()
        await running.pilot.pause()
    await running.until(lambda: isinstance(app.screen, OutgrownScreen))
    await running.pilot.press("down", "down", "enter")
    await running.until(lambda: isinstance(app.screen, SummaryScreen))
    assert isinstance(app.screen, SummaryScreen)
    return app.screen


async def test_what_the_person_makes_of_it_is_what_the_model_gets(start) -> None:
    model = ContextModel(Text("short"), context=200)
    async with start(model) as running:
        screen = await outgrow(running)
        assert screen._text.text == "the summary" and not running.app.controller.cut
        assert "very short" in "".join(str(static.render()) for static in screen.query(".error"))
        screen._text.text = "what I say it was"
        await running.pilot.press("ctrl+s")
        await running.until(lambda: running.app.controller.cut and running.app.controller.path[-1].text == "short")
        assert "what I say it was" in str(model.asked[-1].input)
        await running.ready()
        await running.type("/uncut")
        await running.pilot.press("enter")
        await running.until(lambda: not running.app.controller.cut)


async def test_it_is_not_used_unless_that_is_said(start) -> None:
    async with start(ContextModel(Text("short"), context=200)) as running:
        await outgrow(running)
        await running.pilot.press("escape")
        await running.until(lambda: running.app.screen is running.app.chat_screen)
        await running.pilot.pause()
        assert not running.app.controller.cut and running.app.controller.path[-1].speaker == "user"


def test_few_words_for_many_messages_are_weak() -> None:
    offer = Offer(kind="summary", left_out=8, used=0, first=1)
    assert is_weak(Summarized(offer, "We talked."))
    assert not is_weak(Summarized(offer, "word " * 60))
