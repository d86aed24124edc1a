"""The top line: the model at the left; network, context and memory at the right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from tui.widgets import figures
from tui.widgets.footer import clicked, wanted

if TYPE_CHECKING:
    from edgellm.machine.power import Power
    from tui.notices import Meter

WIDE = 100
EVERY_S = 3.0
LEAST = 12
"""Cells in which it can be said what the model does."""
FULL, LOW = 99.0, 20.0
"""Percent of the battery."""


class Header(Widget):
    """Everything that is set here is drawn at once."""

    model: reactive[str] = reactive("")
    detail: reactive[str] = reactive("")
    fetching: reactive[str] = reactive("")
    offline: reactive[bool] = reactive(False)
    meter: reactive[Meter | None] = reactive(None)
    written: reactive[int] = reactive(0)
    memory: reactive[tuple[int, int] | None] = reactive(None)
    power: reactive[Power | None] = reactive(None)
    serving: reactive[str] = reactive("")
    through: reactive[str] = reactive("")

    def watch_machine(self) -> None:
        """Show from now on how much of the machine's memory is in use, and what is left in its battery."""
        self._look_at_machine()
        self.set_interval(EVERY_S, self._look_at_machine)

    def _look_at_machine(self) -> None:
        import psutil

        from edgellm.machine.power import power

        memory = psutil.virtual_memory()
        self.memory = (memory.total - memory.available, memory.total)
        self.power = power()

    def on_click(self, event: Click) -> None:
        if message := clicked(event):
            self.post_message(message)

    def render(self) -> Content:
        width = self.content_size.width
        right = self._right(width >= WIDE)
        left = self._left(width - right.cell_length - 2)
        return Content("").join([left, Content(" " * max(1, width - left.cell_length - right.cell_length)), right])

    def _left(self, room: int) -> Content:
        name = Content.styled(f"{_short(self.model)} ▾", wanted("models"))
        words = self.fetching or self.detail
        detail = Content.styled(f"  {words}", "$text-muted") if words else Content("")
        mark = Content.assemble(("◆ ", "$accent bold"), ("edgellm", "bold"), "   ")
        short = Content.styled("◆ ", "$accent bold")
        for start in (mark, short):
            whole = Content("").join([start, name])
            if whole.cell_length <= room:
                break
        if room - whole.cell_length >= LEAST:
            whole = Content("").join([whole, detail])
        return whole.truncate(max(8, room), ellipsis=True)

    def _right(self, wide: bool) -> Content:
        words = [
            Content.styled("○ offline", "$text-muted") if self.offline else None,
            self._server(),
            self._meter(wide),
            self._memory() if wide else None,
            self._battery(),
        ]
        return Content("   ").join(word for word in words if word is not None)

    def _server(self) -> Content | None:
        """Whose model this is, where it is another process's; else where this app serves its own."""
        if self.through:
            return Content.styled(f"⇄ {self.through}", "$text-muted").stylize(wanted("server"))
        if not self.serving:
            return None
        words = Content.assemble(("● ", "$text-success"), (f":{self.serving.rpartition(':')[2]}", "$text-muted"))
        return words.stylize(wanted("server"))

    def _battery(self) -> Content | None:
        """Nothing while it is full and the mains feed it."""
        power = self.power
        if power is None or power.percent is None or (not power.on_battery and power.percent >= FULL):
            return None
        style = "$text-warning" if power.on_battery and power.percent <= LOW else "$text-muted"
        return Content.styled(f"{'▾' if power.on_battery else '▴'}{power.percent:.0f}%", style)

    def _meter(self, wide: bool) -> Content | None:
        if self.meter is None:
            return None
        now = replace(self.meter, used=self.meter.used + self.written)  # an answer that is written takes room at once
        part = (self.meter.used + self.meter.reserve) / self.meter.limit if self.meter.limit else 0
        style = "$text-error" if self.meter.full else "$text-warning" if part > 0.85 else "$text-muted"
        return Content.styled(figures.meter(now, wide=wide), style)

    def _memory(self) -> Content | None:
        if self.memory is None:
            return None
        used, total = self.memory
        return Content.styled(f"RAM {used / 2**30:.1f}/{total / 2**30:.0f}G", "$text-muted")


def _short(name: str) -> str:
    """The name of a model; of a path, the file's."""
    if name.count("/") == 1 and not name.startswith(("/", ".", "~")):
        return name
    return re.split(r"[/\\]", name)[-1].removesuffix(".gguf")
