"""The tools that an answer called, a line each, with the beginning of their arguments."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from edgellm.messages import ToolCall, ToolResult

LONGEST = 200


class ToolCalls(Static):
    def __init__(self, calls: tuple[ToolCall, ...] = ()) -> None:
        super().__init__(_lines(calls))

    def show(self, calls: tuple[ToolCall, ...]) -> None:
        self.update(_lines(calls))


class ToolResults(Static):
    """What the tools answered, as it is given to the model."""

    def __init__(self, results: tuple[ToolResult, ...]) -> None:
        lines = [Content.assemble(("↳ ", "$accent"), (_short(result.content), "$text-muted")) for result in results]
        super().__init__(Content("\n").join(lines))


def _lines(calls: tuple[ToolCall, ...]) -> Content:
    return Content("\n").join(
        Content.assemble(("⚙ ", "$accent"), (call.name, "bold"), (f" {_short(call.arguments)}", "$text-muted"))
        for call in calls
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
