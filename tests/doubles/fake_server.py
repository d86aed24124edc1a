"""A `ServerControl` without sockets."""

from __future__ import annotations

from edgellm.errors import ConfigError
from edgellm.model import Model
from tui.server_control import Served


class FakeServer:
    """Port 1 is always taken. `other` is where every model comes from, if it is another process."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[Served] = []
        self.model: Model | None = None
        self.other = ""

    async def start(self, model: Model, port: int | None = None) -> None:
        if port == 1:
            raise ConfigError("Port 1 on 127.0.0.1 is in use.")
        self.model, self.address = model, f"http://127.0.0.1:{port or 8080}"

    def use(self, model: Model) -> None:
        self.model = model

    async def unused(self, model: Model) -> None:
        """It never is."""

    def elsewhere(self, model: Model) -> str:
        return self.other

    async def stop(self, *, at_once: bool = False) -> None:
        self.address = ""

    def ask(self, served: Served) -> None:
        self.requests = [*self.requests, served]
