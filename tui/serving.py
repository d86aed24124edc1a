"""The server beside the chat: turned on and off by command, follows the chat's model, told in header and list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgellm.errors import RequestError
from edgellm.model import Model

if TYPE_CHECKING:
    from tui.app import ChatApp
    from tui.server_control import ServerControl


class Serving:
    """`control` None: there is no server to be had. Errors: EdgeLLMError, in words."""

    def __init__(self, app: ChatApp, control: ServerControl | None) -> None:
        self._app = app
        self.control = control

    async def asked(self, wanted: str) -> None:
        """`on`, `off`, a port, or "" for the screen."""
        control = self._have()
        if not wanted:
            self._app.dialogs.server(self)
        elif wanted == "off":
            await self.off()
        elif wanted == "on" or wanted.isdecimal():
            await control.stop()
            await self.on(None if wanted == "on" else int(wanted))
        else:
            raise RequestError(f"/server {wanted} is not known. Write on, off or a port.")

    async def on(self, port: int | None = None) -> None:
        control, model = self._have(), self._app.controller.model
        if model is None:
            raise RequestError("There is no model to serve yet. Choose one with ^O.")
        if address := self.elsewhere(model):
            raise RequestError(f"A server runs already at {address}, and this chat uses it. Stop that one first.")
        try:
            await control.start(model, port)
        finally:
            self.show()
        self._app.notify(f"Serving {model.info.name} at {control.address}/v1", timeout=8, markup=False)

    async def off(self) -> None:
        try:
            await self._have().stop()
        finally:
            self.show()

    def use(self, model: Model) -> None:
        """The chat has another model."""
        self._app.chat_screen.header.through = self.elsewhere(model).rpartition("//")[2]
        self.show()
        if self.control is not None and self.control.address:
            self.control.use(model)

    @property
    def through(self) -> str:
        """The address of the other process that the chat's own model is had from, "" if there is none."""
        return self.elsewhere(self._app.controller.model)

    def elsewhere(self, model: Model | None) -> str:
        """The address of the other process that serves `model`, "" for one of this app."""
        return self.control.elsewhere(model) if self.control is not None and model is not None else ""

    async def unused(self, model: Model) -> None:
        if self.control is not None:
            await self.control.unused(model)

    async def close(self) -> None:
        if self.control is not None:
            await self.control.stop(at_once=True)

    def show(self) -> None:
        address = self.control.address if self.control is not None else ""
        self._app.chat_screen.show_server(None if self.control is None else address)

    def _have(self) -> ServerControl:
        if self.control is None:
            raise RequestError("There is no server here.")
        return self.control
