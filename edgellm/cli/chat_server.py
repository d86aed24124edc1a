"""The chat app's way to servers: its own, on the app's loop, and the one that runs for this user already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from edgellm.config import Settings
from edgellm.errors import ConfigError, EdgeLLMError
from edgellm.events import Event
from edgellm.model import Model, ModelInfo, WrapperModel
from edgellm.request import ChatRequest, Speculation
from tui.server_control import Served

if TYPE_CHECKING:
    import socket

    from edgellm.cli.shared_model import SharedModel
    from edgellm.remote.openai_server import OpenAIServer
    from edgellm.runtime.instance import Instance
    from edgellm.server.record import Record
    from edgellm.server.serve import Server
    from edgellm.server.traffic import Traffic

_LOOKED_EACH_S = 0.05


class ChatServer:
    """`tui.server_control.ServerControl` over `edgellm.server`, whose packages are loaded when it first starts."""

    def __init__(self, settings: Settings, *, local: bool = False, own: Sequence[str] = ()) -> None:
        """`local`: models are loaded here, though a server runs that has them; `own` are options that need that."""
        self._settings = settings
        self._local = local
        self._own = own
        self._traffic: Traffic | None = None
        self._models: SharedModel | None = None
        self._given: list[Counted] = []
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._left = ExitStack()
        self._address = ""
        self._one_at_a_time = asyncio.Lock()

    @property
    def address(self) -> str:
        return self._address

    @property
    def requests(self) -> Sequence[Served]:
        if self._traffic is None:
            return []
        records = [*self._traffic.lately, *self._traffic.active.values()]
        return [_served(record) for record in sorted(records, key=lambda record: record.begin)]

    def elsewhere(self, model: Model) -> str:
        return model.address if isinstance(model, Through) else ""

    def open_model(self, name: str, settings: Settings, report: Callable[[str, int, int], None]) -> Model:
        """In a thread: through the server that runs for this user, else in a process of its own; fetched if need be.

        Raises what finding and fetching it raises.
        """
        from edgellm.catalog.catalog import looks_like_path
        from edgellm.runtime import assemble, instance, upstreams

        report("starting", 0, 0)
        if (elsewhere := upstreams.meant(name, settings)) is not None:
            there = upstreams.open_upstream(elsewhere, settings)
            return Noted(there, _unheard(self._own)) if self._own else there
        other = None if self._local or looks_like_path(name) else instance.find()
        if other is None or other.pid == os.getpid():
            return assemble.open_model(name, settings, report)
        if self._own:
            return Noted(assemble.open_model(name, settings, report), _own_load(other.url, self._own))
        return self._through(other, name, settings, report)

    def _through(
        self, other: Instance, name: str, settings: Settings, report: Callable[[str, int, int], None]
    ) -> Model:
        from edgellm.remote.edgellm_server import EdgeServer
        from edgellm.remote.openai_server import OpenAIServer
        from edgellm.runtime import locate

        entry = EdgeServer(other.url, other.token).named(name)
        known = str(entry["id"]) if entry is not None else locate.locate(name, settings, report).name
        return Through(OpenAIServer(other.url, known, api_key=other.token), other.url, settings.speculation)

    async def start(self, model: Model, port: int | None = None) -> None:
        async with self._one_at_a_time:
            if not self._address:
                await self._start(model, port)
            self.use(model)

    async def _start(self, model: Model, port: int | None) -> None:
        try:
            server, listener = await asyncio.to_thread(self._prepare, model, port)  # half a second of imports
        except BaseException:
            self._left.close()
            raise
        self._server = server
        self._serving = asyncio.create_task(server.serve([listener]))
        while not server.started and not self._serving.done():  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(_LOOKED_EACH_S)
        if not server.started:
            await self._stop(at_once=True)
            raise ConfigError("The server did not start. Name another port, as in /server 8081.")
        self._address = _url(self._settings.host, listener.getsockname()[1])

    def use(self, model: Model) -> None:
        if self._models is None or (self._given and self._given[-1].inner is model):
            return
        self._given = [*(one for one in self._given if one.running), Counted(model)]
        self._models.use(self._given[-1])

    async def unused(self, model: Model) -> None:
        while any(one.running for one in self._given if one.inner is model):  # noqa: ASYNC110 rare, not urgent
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
        await asyncio.to_thread(self._left.close)

    def _prepare(self, model: Model, port: int | None) -> tuple[Server, socket.socket]:
        """In a thread: the server, and the socket that it is going to listen on. Raises ConfigError."""
        import secrets

        from edgellm.cli.shared_model import SharedModel
        from edgellm.runtime import instance
        from edgellm.server import app, auth, serve
        from edgellm.server.traffic import Traffic

        class InApp(serve.Server):
            """Signals are the app's."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        host, token = self._settings.host, secrets.token_urlsafe(32)
        access = serve.access_of(self._settings, token)
        try:
            listener = serve.listen(host, self._settings.port if port is None else port)
        except ConfigError as error:
            raise ConfigError(_without_flags(str(error))) from None
        self._left.callback(listener.close)
        with contextlib.suppress(EdgeLLMError, OSError):  # a home that cannot be written; others just do not find us
            self._left.enter_context(instance.claim(instance.here(host, listener.getsockname()[1]), token))
        self._models, self._traffic, self._given = SharedModel(), self._traffic or Traffic(), []
        self.use(model)
        hosts = app.LOOPBACK | {host.lower()} if auth.is_loopback(host) else None
        asgi = app.create_app(self._models, hosts=hosts, access=access, traffic=self._traffic)
        return InApp(serve.configure(asgi)), listener


class Counted(WrapperModel):
    """`running` answers are being written."""

    running = 0

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        self.running += 1
        try:
            async with aclosing(cast(AsyncGenerator[Event, None], self.inner.stream(request))) as events:
                async for event in events:
                    yield event
        finally:
            self.running -= 1


class Through(WrapperModel):
    """A model of the server at `address`, which is another process and loads it. The server has settings of its own:
    who may guess ahead goes with each request."""

    def __init__(self, inner: OpenAIServer, address: str, speculation: Speculation = "auto") -> None:
        super().__init__(inner)
        self.address = address
        self._server = inner
        self._speculation: Speculation = speculation

    async def start(self) -> None:
        await self._server.load()

    def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        asked = replace(request, speculation=self._speculation) if request.speculation == "auto" else request
        return self.inner.stream(asked)


class Noted(WrapperModel):
    """Has something more to tell of how it was opened."""

    def __init__(self, inner: Model, note: str) -> None:
        super().__init__(inner)
        self._note = note

    @property
    def info(self) -> ModelInfo:
        return replace(self.inner.info, notes=(self._note, *self.inner.info.notes))


def _own_load(url: str, own: Sequence[str]) -> str:
    need = "needs" if len(own) == 1 else "need"
    return f"A server runs at {url}, but {', '.join(own)} {need} a load of its own: the model is loaded here."


def _unheard(own: Sequence[str]) -> str:
    return f"{', '.join(own)} cannot apply here: this model is loaded by its upstream, in its own way."


def _served(record: Record) -> Served:
    return Served(
        method=record.method,
        path=record.path,
        begun=time.time() - (time.monotonic() - record.begin),
        model=record.model,
        status=record.status,
        seconds=record.seconds,
        running=record.end is None,
        prompt_tokens=record.prompt_tokens,
        tokens=record.completion_tokens,
        per_s=record.tokens_per_second,
    )


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _without_flags(problem: str) -> str:
    """The advice of the command line in the app's own words."""
    said, _, _ = problem.partition(" Choose another")
    return f"{said} Name another port, as in /server 8081."
