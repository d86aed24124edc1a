"""An answer: thoughts, prose, code and tool calls, and a line of figures below; drawn while it is written."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from edgellm.messages import ToolCall
from tui.notices import Stats
from tui.painting import Laid
from tui.store.records import Entry
from tui.widgets import branch, figures
from tui.widgets.code_block import CodeBlock
from tui.widgets.feed import Feed
from tui.widgets.markdown import Fence, Part, Prose
from tui.widgets.prose import ProseText
from tui.widgets.signals import CopyWanted, RegenerateWanted, SwitchWanted
from tui.widgets.thinking import Thinking
from tui.widgets.tool_calls import ToolCalls

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SHARE = 8
"""Drawing takes at most one part in so many of the time: what is slow to draw is drawn less often."""
LINES_PER_S = 150
"""Of code, drawn in all."""
REASONS = {
    "length": "cut off: the longest answer was reached",
    "stopped": "stopped",
    "interrupted": "interrupted when the app ended",
}


class Answer(Laid, Vertical, can_focus=True):
    """`entry` is what is stored. While it streams, `add`, `think`, `call`, `read` and `tell` take what is new, and
    `draw` shows it; `settle` ends that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy"),
        Binding("r", "regenerate", "Answer again"),
        Binding("left", "switch(-1)", "Branch before"),
        Binding("right", "switch(1)", "Branch after"),
    ]

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry
        self.text = entry.text
        self._reasoning = entry.reply.reasoning
        self._calls = list(entry.reply.calls)
        self._stats: Stats | None = None
        self._progress = ""
        self._feed = Feed()
        self._parts: list[Widget] = []
        self._dirty = True
        self._due = 0.0
        self._frame = 0
        self._thinking: Thinking | None = None
        self._tools: ToolCalls | None = None
        self._below = Static(classes="meta")
        self._draw_below()  # here already: classes that are set later have all below be styled again

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        if size.width == self._size.width:  # rows of its own are all alike: none need be drawn anew when it grows
            self._size = size
        return super()._size_updated(size, virtual_size, container_size, layout)

    @property
    def live(self) -> bool:
        return self.entry.reply.state == "streaming"

    def compose(self) -> ComposeResult:
        self._feed.feed(self.text, final=not self.live)
        self._parts = [_widget(part) for part in self._feed.parts]
        if self._reasoning:
            self._thinking = Thinking(self._reasoning, self.entry.reply.thought_s)
            yield self._thinking
        yield from self._parts
        if self._calls:
            self._tools = ToolCalls(tuple(self._calls))
            yield self._tools
        yield self._below

    def on_mount(self) -> None:
        self._draw_below()  # it may be over meanwhile

    def add(self, text: str) -> None:
        self.text += text
        self._progress = ""
        self._dirty = True

    def think(self, text: str) -> None:
        self._reasoning += text
        self._dirty = True

    def call(self, index: int, call: ToolCall) -> None:
        self._calls[index : index + 1] = [call]
        self._dirty = True

    def read(self, done: int, total: int) -> None:
        self._progress = f"reading the prompt {figures.tokens(done)}/{figures.tokens(total)}"

    def tell(self, stats: Stats) -> None:
        self._stats = stats

    def draw(self, *, animated: bool = True) -> None:
        """Show what came since the last time; called eight times a second while the answer is written."""
        if not self.is_mounted or not self.live:
            return
        begin = time.monotonic()
        self._frame += animated
        if self._dirty and begin >= self._due:
            self._dirty = False
            self._draw_parts(final=False)
            self._due = begin + max(SHARE * (time.monotonic() - begin), self._pause())
        self._draw_below()

    def _pause(self) -> float:
        """Seconds until the next drawing at least: all of a long fence is coloured and drawn each time."""
        last = self._feed.parts[-1] if self._feed.parts else None
        return min(0.5, last.code.count("\n") / LINES_PER_S) if isinstance(last, Fence) else 0.0

    def settle(self, entry: Entry) -> None:
        """The answer is over."""
        self.entry = entry
        self.text, self._reasoning, self._calls = entry.text, entry.reply.reasoning, list(entry.reply.calls)
        if self.is_mounted:
            self._draw_parts(final=True)
            self._draw_below()

    def _draw_parts(self, *, final: bool) -> None:
        if self._reasoning:
            self._draw_thoughts(self.entry.reply.thought_s if self.text or final else None)
        if self._calls:
            self._draw_calls()
        self._feed.feed(self.text, final=final)
        for index in range(min(self._feed.changed, len(self._parts)), len(self._feed.parts)):
            self._draw_part(index, self._feed.parts[index])
        self._remove(len(self._feed.parts))

    def _draw_thoughts(self, seconds: float | None) -> None:
        if self._thinking is None:
            self._thinking = Thinking(self._reasoning, seconds)
            self.mount(self._thinking, before=0)
        else:
            self._thinking.show(self._reasoning, seconds)

    def _draw_calls(self) -> None:
        if self._tools is None:
            self._tools = ToolCalls(tuple(self._calls))
            self.mount(self._tools, before=self._below)
        else:
            self._tools.show(tuple(self._calls))

    def _draw_part(self, index: int, part: Part) -> None:
        """Into the widget that is there, if it is of the right kind."""
        widget = self._parts[index] if index < len(self._parts) else None
        match widget, part:
            case CodeBlock(), Fence():
                widget.show(part)
            case ProseText(), Prose():
                widget.show_blocks(part.blocks)
            case _:
                self._replace(index, part)

    def _replace(self, index: int, part: Part) -> None:
        self._remove(index)
        self._parts.append(_widget(part))
        self.mount(self._parts[-1], before=self._tools or self._below)

    def _remove(self, index: int) -> None:
        for widget in self._parts[index:]:
            widget.remove()
        del self._parts[index:]

    def _draw_below(self) -> None:
        words = self._so_far() if self.live else self._over()
        self._below.display = bool(words)
        self.set_class(not words, "-bare", update=self.is_attached)
        self._below.set_class(self.entry.reply.state != "failed", "-figures", update=self.is_attached)
        self._below.update(words, layout=not self.live)

    def _so_far(self) -> Content:
        words = self._progress or (figures.speed(self._stats) if self._stats is not None else "") or "waiting"
        spinner = SPINNER[self._frame % len(SPINNER)]
        return Content.assemble((f"{spinner} ", "$accent"), words, ("   esc stop", "dim"))

    def _over(self) -> Content:
        reply = self.entry.reply
        if reply.state == "failed":
            error = Content.styled(f"✗ {reply.error}", "$text-error")
            return Content("\n").join([error, *branch.marker(self.entry)])
        if reply.reason == "tool_calls":  # the answer goes on below what the tools say
            return Content("  ·  ").join(branch.marker(self.entry))
        words = [Content(words) for words in (REASONS.get(reply.reason, ""), self._figures()) if words]
        return Content("  ·  ").join([*branch.marker(self.entry), *words])

    def _figures(self) -> str:
        reply = self.entry.reply
        stats = self._stats
        if stats is None and reply.usage is not None and reply.timings is not None:
            timings = reply.timings
            stats = Stats(
                tokens=reply.usage.completion_tokens,
                per_s=timings.predicted_per_second,
                first_s=reply.first_s or None,
                acceptance=timings.draft_n_accepted / timings.draft_n if timings.draft_n else None,
            )
        return " · ".join(word for word in (figures.speed(stats) if stats else "", reply.model) if word)

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self.text, "answer"))

    def action_regenerate(self) -> None:
        self.post_message(RegenerateWanted(self.entry.id))

    def on_click(self, event: Click) -> None:
        if step := branch.step(event):
            event.stop()
            self.action_switch(step)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.entry.of > 1 if action == "switch" else True

    def action_switch(self, step: int) -> None:
        if self.entry.of > 1:
            self.post_message(SwitchWanted(self.entry.id, step))


def _widget(part: Part) -> Widget:
    return CodeBlock(part) if isinstance(part, Fence) else ProseText(part.blocks)
