"""What stands out and what stands back: themes, narrow terminals, keys told, what is left out."""

from __future__ import annotations

import pytest

from tui.store import cuts
from tui.widgets.answer import Answer


@pytest.mark.parametrize(("size", "shown"), [((120, 36), True), ((80, 24), False)])
async def test_the_list_hides_where_it_is_narrow(start, size: tuple[int, int], shown: bool) -> None:
    async with start(size=size) as running:
        await running.ready()
        assert running.app.chat_screen.query_one("#sidebar").display is shown


async def test_the_keys_of_a_message_are_told_while_it_has_the_focus(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Hello")
        footer = running.app.chat_screen.footer
        assert "answer again" not in str(footer.render())
        running.app.query_one(Answer).focus()
        await running.until(lambda: "c copy  r answer again  Esc back" in str(footer.render()))
        await running.pilot.press("escape")
        await running.until(lambda: running.app.chat_screen.prompt.has_focus)
        await running.until(lambda: "answer again" not in str(footer.render()))


async def test_what_the_model_is_not_given_any_more_is_dimmed(start) -> None:
    async with start() as running:
        await running.ready()
        for word in ("one", "two", "three"):
            await running.say(word)
        store, path = running.app.store, running.app.controller.path
        await store.write(cuts.add, path[2].id)
        await running.app.controller.measure()
        shown = running.app.chat_screen.messages
        await running.until(
            lambda: [widget.has_class("-left-out") for widget in shown.children] == [True] * 2 + [False] * 4
        )
        await running.app.controller.uncut()
        await running.until(lambda: not any(widget.has_class("-left-out") for widget in shown.children))


async def test_a_theme_is_offered_taken_and_remembered(start) -> None:
    async with start() as running:
        await running.ready()
        await running.pilot.press("f4")
        await running.until(lambda: running.app.theme == "light")
        await running.type("/theme no")
        await running.until(lambda: running.app.chat_screen.suggestions.display)
        await running.pilot.press("enter")
        assert running.app.chat_screen.prompt.text == "/theme nord"
        await running.pilot.press("enter")
        await running.until(lambda: running.app.theme == "nord")
        await running.say("Still readable?")
        await running.type("/theme pink")
        await running.pilot.press("enter")
        await running.until(lambda: any("nord" in note.message for note in running.app._notifications))
    async with start() as again:
        await again.ready()
        assert again.app.theme == "nord"


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_what_is_chosen_stands_out_without_colours(start, monkeypatch: pytest.MonkeyPatch, theme: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with start() as running:
        await running.ready()
        running.app.theme = theme
        await running.type("/s")
        suggestions = running.app.chat_screen.suggestions
        await running.until(lambda: suggestions.display and suggestions.option_count > 1)
        chosen, other = (next(iter(suggestions.render_line(y))).style.bgcolor.triplet for y in (0, 1))
        assert sum(abs(one - two) for one, two in zip(chosen, other, strict=True)) > 90
