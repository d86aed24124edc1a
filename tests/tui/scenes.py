"""What the app can show, put together from fixed words and figures, so that every picture of it is always the same."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest

from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, Usage
from edgellm.messages import ToolCall, ToolResult
from edgellm.request import ChatRequest
from tests.doubles.scripted_model import ScriptedModel
from tests.tui.conftest import Running
from tui.choices import Choice
from tui.notices import Stats
from tui.store import chats, entries
from tui.store.records import Attachment, Reply
from tui.widgets.answer import Answer
from tui.widgets.header import Header

QUESTION = "Why does my binary search loop forever?"
ANSWER = """`mid` never moves when `hi - lo = 1`. Use a **half-open** range:

```python
def find(items: list[int], wanted: int) -> int:
    lo, hi = 0, len(items)
    while lo < hi:
        mid = (lo + hi) // 2
        if items[mid] < wanted:
            lo = mid + 1  # without the 1 it stays where it is
        else:
            hi = mid
    return lo
```

1. the range shrinks at each step, so the loop ends
2. `lo` is where `wanted` is, or where it would have to be put

| items     | steps |
|-----------|------:|
| 1,000     |    10 |
| 1,000,000 |    20 |
"""
OTHERS = (  # title, how long ago in seconds
    ("Kyoto in four days", 3_700),
    ("SQL window functions", 20_000),
    ("Cover letter", 90_000),
    ("Names for a small grey cat", 95_000),
    ("Regular expression for dates", 300_000),
    ("Bread with old flour", 400_000),
)
GB = 1_000_000_000
MODELS = tuple(
    Choice(
        name=name,
        quantization="Q8_0" if name == "smollm2-360m" else "Q4_K_M",
        here=here,
        verdict=verdict,  # type: ignore[arg-type]
        per_s=per_s,
        bytes=int(size * GB),
        title=title,
        license=license,
        parameters=int(parameters * GB),
        memory=int((size + 1.4) * GB),
        context=8192,
        room=int(9.8 * GB),
    )
    for name, title, here, verdict, per_s, size, license, parameters in (
        ("qwen3-8b", "Qwen3 8B", True, "fits", 11.0, 5.0, "Apache-2.0", 8.2),
        ("qwen2.5-coder-1.5b", "Qwen2.5 Coder 1.5B", True, "fits", 41.0, 1.1, "Apache-2.0", 1.54),
        ("smollm2-360m", "SmolLM2 360M", True, "fits", 96.0, 0.386, "Apache-2.0", 0.36),
        ("unsloth/Phi-4-mini-instruct-GGUF", "", True, "fits", 18.0, 2.5, "", 3.8),
        ("gemma-3-4b", "Gemma 3 4B", False, "fits", 19.0, 2.5, "Gemma", 3.88),
        ("mistral-nemo-12b", "Mistral Nemo 12B", False, "tight", 7.0, 7.5, "Apache-2.0", 12.2),
        ("qwen3-30b-a3b", "Qwen3 30B A3B", False, "no", 0.0, 18.6, "Apache-2.0", 30.5),
        ("llama-3.3-70b", "Llama 3.3 70B", False, "no", 0.0, 42.5, "Llama 3.3", 70.6),
    )
)


class Measured(ScriptedModel):
    """Thinks first; has a draft model that is often right; counts tokens by their words."""

    def __init__(self) -> None:
        super().__init__([["unused"]], name="qwen3-8b")
        self.go = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        yield Started(24, 0)
        yield Reasoning("The loop keeps `lo` where it is. Half-open ranges make that plain.")
        pieces = re.findall(r"\s*\S+", ANSWER)
        for piece in pieces[:48]:
            yield Text(piece)
        await self.go.wait()
        yield Text("".join(pieces[48:]))
        timings = Timings(predicted_n=212, predicted_ms=211 / 31.4 * 1000, draft_n=100, draft_n_accepted=71)
        yield Finished("stop", Usage(24, 212), timings)

    async def tokenize(self, input, template_args=None, tools=()) -> list[int]:  # type: ignore[no-untyped-def]
        return list(range(1272))


def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory, days and measured times are the same on every machine and at every hour."""
    monkeypatch.setattr(Header, "watch_machine", lambda self: setattr(self, "memory", (6 << 30, 16 << 30)))
    monkeypatch.setattr("tui.widgets.chat_list.day", _day)
    monkeypatch.setattr("tui.widgets.chat_list.age", _age)
    monkeypatch.setattr("tui.screens.search.age", lambda then: _age(then, time.time()))
    monkeypatch.setattr("tui.widgets.thinking.seconds", lambda duration: "4.2 s")
    monkeypatch.setattr("tui.screens.models.choices", lambda settings: MODELS)
    monkeypatch.setattr(Answer, "tell", lambda self, stats: setattr(self, "_stats", _shown(stats)))


def _shown(stats: Stats) -> Stats:
    return Stats(tokens=stats.tokens if stats.exact else 118, per_s=31.4, first_s=0.38, acceptance=0.71)


def _day(then: float, today: object) -> str:
    passed = time.time() - then
    return "TODAY" if passed < 50_000 else "YESTERDAY" if passed < 100_000 else "THIS WEEK"


def _age(then: float, now: float | None = None) -> str:
    passed = time.time() - then
    return "now" if passed < 600 else f"{passed // 3600:.0f}h" if passed < 86_400 else f"{passed // 86_400:.0f}d"


async def with_others(running: Running) -> None:
    """Earlier conversations, as somebody has them who lives here."""
    store = running.app.store
    for title, ago in reversed(OTHERS):
        chat = await store.write(chats.add, title)
        await store.write(chats.set_title, chat.id, title, "user")
        entry = await store.write(
            entries.add, chat.id, None, "user", Reply(text=f"A question about {title.lower()}", state="complete")
        )
        answer = f"An answer on {title.lower()}, with a binary choice in it."
        await store.write(entries.add, chat.id, entry.id, "assistant", Reply(text=answer, state="complete"))
        await store.write(_dated, chat.id, time.time() - ago)
    await running.app._works.show_list()


def _dated(connection, chat: int, when: float) -> None:  # type: ignore[no-untyped-def]
    connection.execute("UPDATE chats SET created = ?, updated = ? WHERE id = ?", (when, when, chat))
    connection.execute("UPDATE entries SET created = ?, updated = ? WHERE chat = ?", (when, when, chat))


async def conversation(running: Running, *, over: bool = True) -> None:
    """A question with a file, and its answer: whole, or in the middle of its code."""
    app = running.app
    await running.ready()
    app.chat_screen.prompt.cursor_blink = False
    await with_others(running)
    model = app.controller.model
    assert isinstance(model, Measured)
    await app.controller.send(QUESTION, (Attachment(name="search.py", text="…", tokens=412),))
    await running.until(lambda: bool(app.query(Answer)) and "# without" in app.query_one(Answer).text)
    if over:
        model.go.set()
        await running.ready()
        await running.settled()
        assert app.controller.chat is not None
        await app.controller.rename("Binary search bug")
    await running.until(lambda: app.controller.meter is not None)


CALLED = Reply(
    text="I look at the weather first.",
    reasoning="They want to know whether to take an umbrella.",
    thought_s=4.2,
    calls=(ToolCall("1", "weather", '{"city": "Bern", "day": "tomorrow"}'),),
    state="complete",
    reason="tool_calls",
    model="qwen3-8b",
)
RESULT = (ToolResult("1", '{"rain": 0.8, "from": "14:00"}'),)
