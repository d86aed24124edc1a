"""The chat app's own server: the model that it chats with, over HTTP, in the same process and on the same loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from edgellm.config import Settings
from edgellm.errors import ConfigError
from edgellm.model import Model
from tui.server_control import Served

if TYPE_CHECKING:
    from edgellm.cli.request_log import Counted, RequestLog
    from edgellm.runtime.standing import Standing
    from edgellm.server.models import OneModel
    from edgellm.server.serve import Server

_LOOKED_EACH_S = 0.05


class ChatServer:
    """`tui.server_control.ServerControl` over `edgellm.server`, whose packages are loaded when it first starts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log: RequestLog | None = None
        self._models: SharedModel | None = None
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stack = contextlib.ExitStack()
        self._address = ""
        self._one_at_a_time = asyncio.Lock()

    @property
    def address(self) -> str:
        return self._address

    @property
    def requests(self) -> Sequence[Served]:
        return [] if self._log is None else list(self._log.requests)

    @property
    def changes(self) -> int:
        return 0 if self._log is None else self._log.changes

    async def start(self, model: Model, port: int | None = None) -> None:
        async with self._one_at_a_time:
            await self._start(model, port)

    async def _start(self, model: Model, port: int | None) -> None:
        if self._address:
            self.use(model)
            return
        server, listener = await asyncio.to_thread(self._prepare, port)  # half a second of imports
        self._stack.callback(listener.close)
        self.use(model)
        self._server = server
        self._serving = asyncio.create_task(server.serve([listener]))
        while not server.started and not self._serving.done():  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(_LOOKED_EACH_S)
        if not server.started:
            await self._stop(at_once=True)
            raise ConfigError("The server did not start. Try another port.")
        self._address = _url(self._settings.host, listener.getsockname()[1])

    def use(self, model: Model) -> None:
        if self._models is not None and self._log is not None:
            self._models.use(self._log.counted(model))

    async def unused(self, model: Model) -> None:
        while self._models is not None and self._models.running(model):  # noqa: ASYNC110 rare, and not urgent
            await asyncio.sleep(_LOOKED_EACH_S)

    async def stop(self, *, at_once: bool = False) -> None:
        async with self._one_at_a_time:
            await self._stop(at_once)

    async def _stop(self, at_once: bool) -> None:
        self._address = ""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            self._server.force_exit = at_once
            await asyncio.wait([self._serving])
            self._server = self._serving = None
        self._stack.close()

    def _prepare(self, port: int | None) -> tuple[Server, Any]:
        """In a thread: the server, and the socket that it is going to listen on. Raises ConfigError."""
        from edgellm.cli.request_log import RequestLog
        from edgellm.server import app, serve

        class InApp(serve.Server):
            """Signals are the app's."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        host = self._settings.host
        try:
            listener = serve.listen(host, self._settings.port if port is None else port)
        except ConfigError as error:
            raise ConfigError(_without_flags(str(error))) from None
        if self._log is None or self._models is None:
            self._log, self._models = RequestLog(), SharedModel()
        hosts = app.LOOPBACK | {host.lower()}
        asgi = app.create_app(self._models, hosts=hosts, ready=lambda: True)
        return InApp(serve.configure(self._log.around(asgi))), listener


class SharedModel:
    """`edgellm.server.models.Models` of whichever model the chat has now."""

    def __init__(self) -> None:
        self._one: OneModel | None = None
        self._given: list[Counted] = []

    def use(self, model: Counted) -> None:
        from edgellm.server.models import OneModel

        if self._given and self._given[-1].inner is model.inner:
            return
        self._given = [one for one in self._given if one.running]
        self._given.append(model)
        self._one = OneModel(model, aliases=("default",))

    def running(self, model: Model) -> int:
        return sum(one.running for one in self._given if one.inner is model)

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        return await self._now().get(name, keep_alive)

    @contextlib.asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Any]:
        inner: AbstractAsyncContextManager[Any] = self._now().embedder(name, keep_alive)
        async with inner as embedder:
            yield embedder

    async def list(self) -> Sequence[Standing]:
        return await self._now().list()

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        return await self._now().loaded()

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        await self._now().load(name, keep_alive)

    async def unload(self, name: str) -> None:
        await self._now().unload(name)

    async def aclose(self) -> None:
        """The model is the chat's: it stays."""

    def _now(self) -> OneModel:
        assert self._one is not None, "a model is given before the server starts"
        return self._one


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _without_flags(problem: str) -> str:
    """The advice of the command line in the app's own words."""
    said, _, _ = problem.partition(" Choose another")
    return f"{said} Name another port, as in /server 8081."
