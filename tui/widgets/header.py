"""The top line: the model at the left; network, context and memory at the right."""

from __future__ import annotations

import re

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.notices import Meter
from tui.widgets import figures

WIDE = 100
EVERY_S = 3.0


class Header(Widget):
    """Everything that is set here is drawn at once."""

    model: reactive[str] = reactive("")
    detail: reactive[str] = reactive("")
    offline: reactive[bool] = reactive(False)
    meter: reactive[Meter | None] = reactive(None)
    memory: reactive[tuple[int, int] | None] = reactive(None)

    def watch_memory(self) -> None:
        """Show from now on how much of the machine's memory is in use."""
        self._look_at_memory()
        self.set_interval(EVERY_S, self._look_at_memory)

    def _look_at_memory(self) -> None:
        import psutil

        memory = psutil.virtual_memory()
        self.memory = (memory.total - memory.available, memory.total)

    def render(self) -> Content:
        width = self.content_size.width
        right = self._right(width >= WIDE)
        left = self._left(width - right.cell_length - 2)
        return Content("").join([left, Content(" " * max(1, width - left.cell_length - right.cell_length)), right])

    def _left(self, room: int) -> Content:
        name = Content.styled(f"{_short(self.model)} ▾", Style.from_meta({"@click": "app.models"}))
        detail = Content.styled(f"  {self.detail}", "$text-muted") if self.detail else Content("")
        mark = Content.assemble(("◆ ", "$accent bold"), ("edgellm", "bold"), "   ")
        short = Content.styled("◆ ", "$accent bold")
        for words in ([mark, name, detail], [mark, name], [short, name]):
            whole = Content("").join(words)
            if whole.cell_length <= room:
                return whole
        return whole.truncate(max(8, room), ellipsis=True)

    def _right(self, wide: bool) -> Content:
        words = [
            Content.styled("○ offline", "$text-muted") if self.offline else None,
            self._meter(wide),
            self._memory() if wide else None,
        ]
        return Content("   ").join(word for word in words if word is not None)

    def _meter(self, wide: bool) -> Content | None:
        if self.meter is None:
            return None
        part = (self.meter.used + self.meter.reserve) / self.meter.limit if self.meter.limit else 0
        style = "$text-error" if self.meter.full else "$text-warning" if part > 0.85 else "$text-muted"
        return Content.styled(figures.meter(self.meter, wide=wide), style)

    def _memory(self) -> Content | None:
        if self.memory is None:
            return None
        used, total = self.memory
        return Content.styled(f"RAM {used / 2**30:.1f}/{total / 2**30:.0f}G", "$text-muted")


def _short(name: str) -> str:
    """The name of a model; of a path, the file's."""
    return name if name.count("/") == 1 and not name.startswith(("/", ".", "~")) else re.split(r"[/\\]", name)[-1]
