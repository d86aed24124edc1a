"""What the screens look like, as SVG; `EDGELLM_TEST_PICTURES=write` draws them anew, to be looked at."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.doubles.scripted_model import ScriptedModel
from tui.widgets.header import Header

FOLDER = Path(__file__).parent / "pictures"
ANSWER = """`mid` never moves when `hi - lo = 1`. Use a **half-open** range:

```python
while lo < hi:
    mid = (lo + hi) // 2
```

1. the range shrinks
2. the loop ends
   - in every case

| items | steps |
|-------|------:|
| 1,000 |    10 |

> Check it with one item.
"""


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Header, "watch_machine", lambda self: setattr(self, "memory", (6 << 30, 16 << 30)))
    monkeypatch.setattr("tui.widgets.chat_list.age", lambda then, now: "2m")
    monkeypatch.setattr("tui.widgets.figures.seconds", lambda duration: "0.4 s")


def compare(app, name: str) -> None:  # type: ignore[no-untyped-def]
    """Ids differ from run to run; everything else must be alike."""
    drawn = re.sub(r"terminal-\d+-", "terminal-", app.export_screenshot(title="edgellm"))
    drawn = "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
    file = FOLDER / f"{name}.svg"
    if os.environ.get("EDGELLM_TEST_PICTURES") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(drawn, encoding="utf-8")
    assert drawn == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_conversation(start, size: tuple[int, int], theme: str) -> None:
    model = ScriptedModel([re.findall(r"\s*\S+\s?", ANSWER), ["Binary search bug"]], name="qwen3-8b")
    async with start(model, size=size) as running:
        await running.ready()
        app = running.app
        app.theme = theme
        app.chat_screen.prompt.cursor_blink = False
        await running.say("Why does my binary search loop forever?")
        await running.until(
            lambda: app.controller.chat is not None and app.controller.chat.title == "Binary search bug"
        )
        await running.until(lambda: app.controller.meter is not None)
        await running.pilot.pause(0.2)
        compare(app, f"chat-{theme}-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: "x".join(map(str, size)))
async def test_help(start, size: tuple[int, int]) -> None:
    async with start(size=size) as running:
        await running.ready()
        running.app.chat_screen.prompt.cursor_blink = False
        await running.until(lambda: running.app.controller.meter is not None)
        await running.pilot.press("f1")
        await running.pilot.pause(0.2)
        compare(running.app, f"help-{size[0]}x{size[1]}")
