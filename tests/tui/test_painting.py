"""What is painted piece by piece is what a whole frame would show; and little is drawn where little changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.widget import Widget

from tests.doubles.scripted_model import ScriptedModel
from tests.tui.conftest import Running

SIZE = (120, 36)
TEXTS = {
    "prose": "Words follow words in a line of **plain prose** and on. " * 60 + "\n\nAnd an end.",
    "code": "Like this:\n\n```python\n"
    + "".join(f"value_{i} = compute({i})\n" for i in range(40))
    + "```\n\nThat is all.",
    "list": "".join(f"- item {i} of a list with `some` words\n" for i in range(50)),
}


class Terminal:
    """What a terminal shows after all updates that the app would have written to it."""

    def __init__(self, app: Any) -> None:
        self.rows = [[" "] * SIZE[0] for _ in range(SIZE[1])]
        display = app._display

        def displayed(screen: Any, update: Any) -> None:
            display(screen, update)
            if not app._batch_count:
                self.take(update)

        app._display = displayed

    def take(self, update: Any) -> None:
        match update:
            case LayoutUpdate():
                for y, strips in enumerate(update.strips):
                    self.write(0, y, "".join(strip.text for strip in strips))
            case ChopsUpdate():
                for y, start, end in update.spans:
                    for x, strip in update.chops[y].items():
                        if strip is not None and start <= x and x < end:
                            self.write(x, y, strip.text)

    def write(self, x: int, y: int, text: str) -> None:
        self.rows[y][x : x + len(text)] = text

    @property
    def frame(self) -> list[str]:
        return ["".join(row) for row in self.rows]


def whole(running: Running) -> list[str]:
    return [strip.text for strip in running.app.chat_screen._compositor.render_strips()]


@pytest.mark.parametrize("kind", TEXTS)
async def test_what_is_painted_while_an_answer_grows_is_the_whole_frame(start, kind: str) -> None:
    tokens = re.findall(r"\s*\S+\s?", TEXTS[kind])
    async with start(ScriptedModel([tokens], delay_s=0.003), size=SIZE) as running:
        await running.ready()
        terminal = Terminal(running.app)
        running.app.chat_screen.refresh()
        await running.say("Write.")
        await running.steady(lambda: whole(running))
        assert terminal.frame == whole(running)
        running.app.chat_screen.messages.scroll_home(animate=False)
        await running.steady(lambda: whole(running))
        await running.type("words")
        assert terminal.frame == await running.steady(lambda: whole(running))


async def test_a_letter_has_few_rows_drawn(start, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 0
    render = Widget.render_lines

    def counted(self: Widget, crop: Any) -> Any:
        nonlocal rows
        rows += crop.height
        return render(self, crop)

    async with start(size=SIZE) as running:
        await running.ready()
        await running.say("Hello")
        await running.steady(lambda: whole(running))
        monkeypatch.setattr(Widget, "render_lines", counted)
        await running.pilot.press("x")
        await running.until(lambda: running.app.chat_screen.prompt.text == "x")
        assert (
            0 < rows <= 4 * SIZE[1]
        )  # Textual's own compositor has all rows of most widgets drawn: twice that, at least
