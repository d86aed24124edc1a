"""Instructions, sampling and presets of the conversation shown."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static, TextArea

from edgellm.errors import EdgeLLMError
from edgellm.request import SamplingParams
from tui.controller import Controller
from tui.screens.dialog import Dialog

NUMBERS: dict[str, tuple[str, type[float] | type[int]]] = {
    "temperature": ("Temperature (0: no chance)", float),
    "top_p": ("Top-p", float),
    "top_k": ("Top-k (0: off)", int),
    "min_p": ("Min-p", float),
    "repetition_penalty": ("Repetition penalty", float),
    "seed": ("Seed", int),
}


class SettingsScreen(Dialog[None]):
    """An empty field stands for what the model's makers recommend, which is shown in it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "keep", "Keep", show=False)]

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

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("This conversation", classes="title")
            with VerticalScroll():
                yield Static("Instructions the model follows throughout", classes="label")
                yield self._system
                names = list(NUMBERS)
                for left, right in zip(names[::2], names[1::2], strict=True):
                    with Horizontal(classes="pair"):
                        for name in (left, right):
                            with Vertical():
                                yield Static(NUMBERS[name][0], classes="label")
                                yield self._fields[name]
                yield Static("Longest answer, in tokens", classes="label")
                yield self._longest
            yield self._error
            yield Static("^S or Enter keeps   Tab next field   Esc leaves all as it was", classes="hint")

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
        return {"system": self._system.text.strip(), "sampling": sampling, "max_tokens": longest}


def _number(name: str, text: str, kind: type[float] | type[int]) -> float | int:
    try:
        return kind(text.strip())
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name.partition(' (')[0]}: {text.strip()!r} is not {wanted}.") from None


def _written(value: float | int | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
