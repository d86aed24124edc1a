"""The server beside the chat: on or off, its address, and what it is asked, live."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from edgellm.errors import EdgeLLMError
from tui.screens.dialog import Dialog
from tui.server_control import Served
from tui.serving import Serving
from tui.widgets import figures
from tui.widgets.signals import CopyWanted

EVERY_S = 0.25
SHOWN, LEFT = 200, 499
_ASKING = """The chat's model answers clients of three kinds:
  OPENAI_BASE_URL={0}/v1
  ANTHROPIC_BASE_URL={0}
  OLLAMA_HOST={0}"""


class ServerScreen(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "switch", "On or off", show=False),
        Binding("c", "copy", "Copy the address", show=False),
    ]

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self._seen: tuple[str, Sequence[Served]] | None = None
        self._state = Static(markup=False)
        self._asking = Static(classes="hint", markup=False)
        self._error = Static(classes="error", markup=False)
        self._log = Static(markup=False)
        self._hint = Static(classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall -wide"):
            yield Static("Server", classes="title")
            yield self._state
            yield self._asking
            yield self._error
            with VerticalScroll(classes="log"):
                yield self._log
            yield self._hint

    def on_mount(self) -> None:
        self._look()
        self.set_interval(EVERY_S, self._look)

    def _look(self) -> None:
        control = self._serving.control
        assert control is not None, "the screen is shown where there is a server"
        address, requests, through = control.address, control.requests, self._serving.through
        if (address or through, requests) == self._seen:
            return
        self._seen = (address or through, requests)
        if through and not address:
            self._show_other(through)
            return
        on, off = ("● on", "$text-success"), ("○ off", "$text-muted")
        self._state.update(Content.assemble(on if address else off, f"   {address}/v1" if address else ""))
        self._asking.update(_ASKING.format(address) if address else "Other programs could use the chat's model.")
        self._log.update(Content("\n").join(_rows(requests)) if requests else Content.styled(_empty(address), "dim"))
        turn = "off" if address else "on"
        self._hint.update(f"Enter turns it {turn}{'   c copies the address' if address else ''}   Esc closes")

    def _show_other(self, address: str) -> None:
        """A server of another process has the model: there is nothing to turn on or off."""
        self._state.update(Content.assemble(("⇄ another process", "$accent"), f"   {address}/v1"))
        self._asking.update(_ASKING.format(address))
        self._log.update(Content.styled("This chat is one of its clients; `edgellm ps` shows what it does.", "dim"))
        self._hint.update("c copies the address   Esc closes")

    @property
    def _address(self) -> str:
        """Where clients find the model, "" if nowhere."""
        control = self._serving.control
        return (control.address if control is not None else "") or self._serving.through

    def action_switch(self) -> None:
        if self._serving.through:
            return
        self._error.update("")
        self.run_worker(self._switch(), exclusive=True)

    async def _switch(self) -> None:
        control = self._serving.control
        self._hint.update("Stopping …" if control and control.address else "Starting …")
        try:
            await (self._serving.off() if control and control.address else self._serving.on())
        except EdgeLLMError as error:
            self._error.update(str(error))
        self._seen = None
        self._look()

    def action_copy(self) -> None:
        if address := self._address:
            self.app.post_message(CopyWanted(f"{address}/v1", "address"))


def _empty(address: str) -> str:
    return "No request yet." if address else "Requests are shown here while it is on."


def _rows(requests: Sequence[Served]) -> Iterable[Content]:
    """The newest first: what matters stays in sight."""
    return [_row(each) for each in reversed(requests[-SHOWN:])]


def _row(served: Served) -> Content:
    when = time.strftime("%H:%M:%S", time.localtime(served.begun))
    status, style = _status(served)
    tokens = f"{figures.tokens(served.prompt_tokens)} → {figures.tokens(served.tokens)} tok" if served.tokens else ""
    speed = f"{served.per_s:.{0 if served.per_s >= 10 else 1}f} tok/s" if served.per_s else ""
    return Content.assemble(
        (f"{when}  ", "$text-muted"),
        (f"{status:<5}", style),
        f"{served.method:<5}{served.path:<28}",
        (f"{figures.seconds(served.seconds):>9}", "$text-muted"),
        f"  {tokens:<18}",
        (speed, "$text-muted"),
    )


def _status(served: Served) -> tuple[str, str]:
    if served.running:
        return "…", "$accent"
    if served.status == LEFT:
        return "left", "$text-muted"
    return str(served.status), "$text-success" if served.status < 400 else "$text-error"
