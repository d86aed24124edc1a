"""Instructions, sampling and presets of the conversation shown."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Select, Static, TextArea

from edgellm.errors import EdgeLLMError
from edgellm.request import SamplingParams
from tui.controller import Controller
from tui.screens.dialog import Dialog
from tui.store import presets
from tui.store.records import Preset

NUMBERS: dict[str, tuple[str, type[float] | type[int]]] = {
    "temperature": ("Temperature (0: no chance)", float),
    "top_p": ("Top-p", float),
    "top_k": ("Top-k (0: off)", int),
    "min_p": ("Min-p", float),
    "repetition_penalty": ("Repetition penalty", float),
    "seed": ("Seed", int),
}
THINKING = {"on": True, "off": False}
"""What can be asked of models that can do both."""


class SettingsScreen(Dialog[None]):
    """An empty field stands for what the model's makers recommend, which is shown in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "Keep", show=False, priority=True),
        Binding("ctrl+d", "drop", "Drop the preset", show=False, priority=True),
    ]

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._error = Static("", classes="error", markup=False)
        options = controller.options
        self._system = TextArea(options.system, soft_wrap=True, tab_behavior="focus", compact=True)
        self._system.placeholder = "You are a helpful assistant. Answer briefly."
        model = controller.model
        self._advised = model.info.sampling if model is not None else SamplingParams()
        self._fields = {
            name: Input(
                _written(options.sampling.get(name)), placeholder=_written(getattr(self._advised, name)) or "none"
            )
            for name in NUMBERS
        }
        self._longest = Input(_written(options.max_tokens), placeholder="as long as fits")
        self._thinking: Select[bool] = Select(THINKING.items(), prompt="as the model likes", compact=True)
        self._show_thinking(options.thinking)
        self._presets: dict[str, Preset] = {}
        self._chosen: Select[str] = Select((), prompt="none", compact=True)
        self._kept_as = Input(options.preset, placeholder="a name, to use it elsewhere too")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield Static("This conversation", classes="title")
            with VerticalScroll():
                with Horizontal(classes="pair"):
                    with Vertical():
                        yield Static("Preset", classes="label")
                        yield self._chosen
                    with Vertical():
                        yield Static("Keep as preset", classes="label")
                        yield self._kept_as
                yield Static("Instructions the model follows throughout", classes="label")
                yield self._system
                names = list(NUMBERS)
                for left, right in zip(names[::2], names[1::2], strict=True):
                    with Horizontal(classes="pair"):
                        for name in (left, right):
                            with Vertical():
                                yield Static(NUMBERS[name][0], classes="label")
                                yield self._fields[name]
                with Horizontal(classes="pair"):
                    with Vertical():
                        yield Static("Longest answer, in tokens", classes="label")
                        yield self._longest
                    with Vertical():
                        yield Static("Thinking, where it can do both", classes="label")
                        yield self._thinking
            yield self._error
            yield Static("^S or Enter keeps   Tab goes on   ^D drops the preset   Esc leaves", classes="hint")

    async def on_mount(self) -> None:
        self._system.focus()
        await self._list()

    async def _list(self) -> None:
        self._presets = {each.name: each for each in await self._controller.store.read(presets.listing)}
        with self.prevent(Select.Changed):
            self._chosen.set_options((name, name) for name in self._presets)
            if self._controller.options.preset in self._presets:
                self._chosen.value = self._controller.options.preset

    def on_select_changed(self, event: Select.Changed) -> None:
        """The preset's values are shown; they hold once they are kept."""
        event.stop()
        if event.select is not self._chosen:
            return
        if (preset := self._presets.get(str(event.value))) is None:
            return
        options = preset.options
        self._system.text = options.system
        for name, field in self._fields.items():
            field.value = _written(options.sampling.get(name))
        self._longest.value = _written(options.max_tokens)
        self._show_thinking(options.thinking)
        self._kept_as.value = preset.name

    def _show_thinking(self, thinking: bool | None) -> None:
        if thinking is None:
            self._thinking.clear()
        else:
            self._thinking.value = thinking

    def action_drop(self) -> None:
        if (preset := self._presets.get(str(self._chosen.value))) is not None:
            self.run_worker(self._drop(preset), exclusive=True)

    async def _drop(self, preset: Preset) -> None:
        await self._controller.store.write(presets.remove, preset.name)
        self._kept_as.value = ""
        await self._list()
        self._error.update(f"The preset “{preset.name}” is gone; its values are still here.")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_keep()

    def action_keep(self) -> None:
        try:
            changes = self._changes()
        except ValueError as error:
            self._error.update(str(error))
            return
        self.run_worker(self._keep(changes), exclusive=True)

    async def _keep(self, changes: dict[str, Any]) -> None:
        try:
            await self._controller.configure(**changes)
            if changes["preset"]:
                preset = Preset(name=changes["preset"], options=self._controller.options)
                await self._controller.store.write(presets.save, preset)
        except EdgeLLMError as error:
            self._error.update(str(error))
            return
        self.dismiss(None)

    def _changes(self) -> dict[str, Any]:
        """Raises ValueError for what is not a number."""
        sampling = {
            name: _number(NUMBERS[name][0], field.value, NUMBERS[name][1])
            for name, field in self._fields.items()
            if field.value.strip()
        }
        longest = _number("Longest answer", self._longest.value, int) if self._longest.value.strip() else None
        if longest is not None and longest < 1:
            raise ValueError("Longest answer: at least 1 token.")
        return {
            "system": self._system.text.strip(),
            "sampling": sampling,
            "max_tokens": longest,
            "thinking": self._thinking.selection,
            "preset": self._kept_as.value.strip(),
        }


def _number(name: str, text: str, kind: type[float] | type[int]) -> float | int:
    try:
        return kind(text.strip())
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name.partition(' (')[0]}: {text.strip()!r} is not {wanted}.") from None


def _written(value: float | int | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
