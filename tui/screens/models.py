"""The models known by name: whether they fit this machine, how fast they would be, and which are here already."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from edgellm.config import Settings
from edgellm.errors import EdgeLLMError
from tui.screens.dialog import Dialog
from tui.widgets.figures import size

_BADGES = {
    "fits": ("● fits", "$text-success"),
    "tight": ("◐ tight", "$text-warning"),
    "no": ("○ too big", "$text-error"),
}


@dataclass(frozen=True)
class Choice:
    """One model in one quantization; `per_s` tokens a second as foreseen, `bytes` of its file."""

    name: str
    quantization: str
    here: bool
    verdict: str
    per_s: float
    bytes: int


class ModelsScreen(Dialog[str]):
    """Returns the name of the model that is wanted; any name or path can be typed."""

    def __init__(self, settings: Settings, current: str) -> None:
        super().__init__()
        self._settings = settings
        self._current = current
        self._all: Sequence[Choice] = ()
        self._shown: Sequence[Choice] = ()
        self._list = OptionList(markup=False, compact=True)
        self._hint = Static("Looking at models and this machine …", classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield Static("Choose a model", classes="title")
            yield Input(placeholder="Filter, or a name, path or user/repository")
            yield self._list
            yield self._hint

    def on_mount(self) -> None:
        self._list.can_focus = False
        self.run_worker(self._look())

    async def _look(self) -> None:
        try:
            self._all = await asyncio.to_thread(choices, self._settings)
        except EdgeLLMError as error:
            self._hint.update(str(error))
            return
        self._show("")
        self._hint.update("Enter takes it (fetched if need be)   ↑ ↓ choose   Esc closes")

    def _show(self, words: str) -> None:
        wanted = words.lower().split()
        self._shown = [
            one for one in self._all if all(word in f"{one.name} {one.quantization}".lower() for word in wanted)
        ]
        wide = max((len(one.name) for one in self._shown), default=0)
        self._list.clear_options()
        self._list.add_options(Option(_row(one, wide, one.name == self._current)) for one in self._shown)
        self._list.highlighted = 0 if self._shown else None

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value)

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


def choices(settings: Settings) -> list[Choice]:
    """All models of the catalog, those that are here first, then by what fits; blocks for about a second."""
    import msgspec

    from edgellm.machine import machine as machines, measurements
    from edgellm.runtime import candidates, planned, threads

    machine = machines.detect(kept=measurements.kept())
    used = msgspec.structs.replace(settings.model_settings(), threads=threads.threads(settings, machine))
    planner = planned.planner(machine, used)
    plans: dict[str, list[tuple[candidates.Candidate, object]]] = {}
    for candidate in candidates.of_catalog():
        if not candidate.facts.pooling:
            plans.setdefault(candidate.model, []).append(
                (candidate, planner.plan(candidate.facts, model=candidate.model))
            )
    found = []
    for name, pairs in plans.items():
        candidate, plan = next((pair for pair in pairs if pair[0].here), pairs[0])
        found.append(
            Choice(
                name,
                candidate.facts.quantization,
                candidate.here,
                plan.verdict,  # type: ignore[attr-defined]
                plan.speed.decode,  # type: ignore[attr-defined]
                candidate.facts.file_bytes or candidate.facts.weight_bytes,
            )
        )
    order = {"fits": 0, "tight": 1, "no": 2}
    return sorted(found, key=lambda one: (not one.here, order[one.verdict], one.bytes))


def _row(choice: Choice, wide: int, current: bool) -> Content:
    words, style = _BADGES[choice.verdict]
    mark = Content.styled("▌", "$accent") if current else Content(" ")
    here = "here" if choice.here else ""
    return Content.assemble(
        mark,
        (f"{choice.name:<{wide}}", "bold" if choice.here else ""),
        (f"  {choice.quantization:<7}", "$text-muted"),
        f"{size(choice.bytes):>8}",
        f"{choice.per_s:>7.0f} tok/s  " if choice.per_s >= 0.5 else f"{'-':>7}{'':8}",
        (f"{words:<9}", style),
        (f" {here}", "$accent"),
    )
