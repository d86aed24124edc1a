"""What the app needs of an HTTP server beside it: on, off, and what it was asked; implemented above both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from edgellm.model import Model


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it stands; `begun` is a Unix time, `status` 0 until an answer begins, 499 if its client left."""

    method: str
    path: str
    begun: float
    model: str = ""
    status: int = 0
    seconds: float = 0.0
    running: bool = False
    prompt_tokens: int = 0
    tokens: int = 0
    per_s: float = 0.0


class ServerControl(Protocol):
    """Serves the model that it is given, in this process and on this event loop."""

    @property
    def address(self) -> str:
        """The base URL, as `http://127.0.0.1:8080`; "" while it is off."""
        ...

    @property
    def requests(self) -> Sequence[Served]:
        """The latest of them, oldest first."""
        ...

    def elsewhere(self, model: Model) -> str:
        """The base URL of the other server that `model` is a model of; "" for one of this app."""
        ...

    async def start(self, model: Model, port: int | None = None) -> None:
        """Serve `model`; `port` None is the one of the settings. Raises ConfigError where it cannot be had."""
        ...

    def use(self, model: Model) -> None:
        """Answer with `model` from now on; requests under way end with the one they have."""
        ...

    async def unused(self, model: Model) -> None:
        """Return when no request uses `model` any more."""
        ...

    async def stop(self, *, at_once: bool = False) -> None:
        """Off; requests under way get a few seconds to end, or none. Idempotent."""
        ...
