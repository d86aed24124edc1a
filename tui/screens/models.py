"""The models known by name: whether they fit this machine, how fast they would be, and which are here already."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from edgellm.config import Settings
from edgellm.errors import EdgeLLMError
from tui.choices import Choice, choices
from tui.screens.dialog import Dialog
from tui.widgets.figures import size, tokens

_BADGES = {
    "fits": ("● fits", "$text-success"),
    "tight": ("◐ tight", "$text-warning"),
    "no": ("○ too big", "$text-error"),
    "remote": ("↗ remote", "$text-accent"),
    "silent": ("↗ silent", "$text-muted"),
}


BESIDE, NARROWEST = 47, 16
"""Cells that stand beside a name, and those it gets at least."""


class ModelsScreen(Dialog[str]):
    """Returns the name of the model that is wanted; any name or path can be typed."""

    def __init__(self, settings: Settings, current: str) -> None:
        super().__init__()
        self._settings = settings
        self._current = current
        self._all: Sequence[Choice] = ()
        self._shown: Sequence[Choice] = ()
        self._typed = Input(placeholder="Filter, or a name, path or user/repository")
        self._list = OptionList(markup=False, compact=True)
        self._about = Static(classes="about", markup=False)
        self._hint = Static("Looking at models and this machine …", classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall -wide"):
            yield Static("Choose a model", classes="title")
            yield self._typed
            yield self._list
            yield self._about
            yield self._hint

    def on_mount(self) -> None:
        self._list.can_focus = False
        self.run_worker(self._look())

    async def _look(self) -> None:
        try:
            self._all = await asyncio.to_thread(choices, self._settings)
        except (EdgeLLMError, OSError) as error:
            self._hint.update(str(error))
            return
        self._show()
        self._hint.update("Enter takes it (fetched if need be)   ↑ ↓ choose   Esc closes")

    def _show(self) -> None:
        wanted = self._typed.value.lower().split()
        self._shown = [one for one in self._all if all(word in _words(one) for word in wanted)]
        wide = min(self._room(), max((len(one.name) for one in self._shown), default=0))
        self._list.clear_options()
        self._list.add_options(Option(_row(one, wide, one.name == self._current)) for one in self._shown)
        self._list.highlighted = 0 if self._shown else None
        if self._all and not self._shown:
            self._about.update("No model that is known has this in its name. Enter looks for it as it is written.")

    def _room(self) -> int:
        """Cells that a name gets."""
        return max(NARROWEST, self._list.content_size.width - BESIDE)

    def on_resize(self) -> None:
        chosen = self._list.highlighted
        self._show()
        self._list.highlighted = chosen

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_index < len(self._shown):
            self._about.update(about(self._shown[event.option_index]))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._list.highlighted is not None and self._shown:
            self.dismiss(self._chosen(self._list.highlighted))
        elif event.value.strip():
            self.dismiss(event.value.strip())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._chosen(event.option_index))

    def _chosen(self, index: int) -> str:
        return self._shown[index].name

    def key_down(self) -> None:
        self._list.action_cursor_down()

    def key_up(self) -> None:
        self._list.action_cursor_up()


def _words(choice: Choice) -> str:
    """What a filter looks at."""
    return f"{choice.name} {choice.quantization} {choice.title}".lower()


def about(choice: Choice) -> str:
    """What it is, and what it takes."""
    count = f"{_count(choice.parameters)} parameters" if choice.parameters else ""
    what = " · ".join(word for word in (choice.title or choice.name, count, choice.license) if word)
    if choice.note:
        takes = choice.note
    elif choice.verdict == "no":
        takes = f"It needs {size(choice.memory)} of memory, and {size(choice.room)} are free."
    else:
        takes = f"It takes {size(choice.memory)} of the memory, with a context of {tokens(choice.context)} tokens."
    return f"{what}\n{takes}"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _row(choice: Choice, wide: int, current: bool) -> Content:
    words, style = _BADGES[choice.verdict]
    mark = Content.styled("▌", "$accent") if current else Content(" ")
    here = "here" if choice.here else ""
    return Content.assemble(
        mark,
        (f"{_fitted(choice.name, wide):<{wide}}", "bold" if choice.here else ""),
        (f"  {choice.quantization:<7}", "$text-muted"),
        f"{size(choice.bytes) if choice.bytes else '':>8}",
        f"{choice.per_s:>7.0f} tok/s  " if choice.per_s >= 0.5 else f"{'-':>7}{'':8}",
        (f"{words:<9}", style),
        (f" {here}", "$accent"),
    )


def _fitted(name: str, wide: int) -> str:
    """The end of a long name tells models of one owner apart."""
    return name if len(name) <= wide else f"…{name[1 - wide :]}"
