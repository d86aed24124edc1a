"""`run`: serve models over HTTP until Ctrl-C or SIGTERM, let running answers end, and give all memory back."""

from __future__ import annotations

import asyncio
import errno
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp

from edgellm.config import Settings
from edgellm.errors import ConfigError, EdgeLLMError
from edgellm.runtime import instance
from edgellm.server.app import LOOPBACK, create_app
from edgellm.server.auth import EVERYBODY, Access, is_loopback
from edgellm.server.connection import limited
from edgellm.server.key_store import KeyStore
from edgellm.server.library import Library
from edgellm.server.models import Models
from edgellm.server.traffic import Traffic
from edgellm.telemetry import log

GRACE_S = 3
"""How long requests may take that still run when somebody stops the server in this process."""
CONNECTIONS = 1024
_LAST_S = 1
_CLEANUP_S = 5.0
_INTERRUPTED = 130
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
_log = log.get("server")


class Serving(msgspec.Struct, frozen=True):
    """A server that answers, for whoever shows it: its address, what it serves, and whether it asks for keys."""

    url: str
    host: str
    models: Models
    traffic: Traffic
    server: Server
    access: Access


View = Callable[[Serving], Coroutine[Any, Any, None]]


async def announced(serving: Serving) -> None:
    """One line on stdout; a warning on stderr where strangers may come in."""
    names = ", ".join(standing.info.name for standing, _ in await serving.models.loaded()) or "models on demand"
    print(f"edgellm is serving {names} at {serving.url}/v1", flush=True)
    if not is_loopback(serving.host) and not serving.access.asks():
        print(f"Warning: everyone who can reach {serving.host} can use this server: no key is asked.", file=sys.stderr)


def run(models: Models, settings: Settings, view: View = announced, *, preload: bool = True) -> int:
    """Serve `models` at the address of `settings` (port 0: any free one), shown by `view`; returns the exit status.

    With `preload` the default model is loaded first. Raises ConfigError when the address cannot be had, or when others
    could come in without a key; LoadError when the model cannot be loaded.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(_serve(models, settings, view, preload))
        except KeyboardInterrupt:
            return _INTERRUPTED


def access_of(settings: Settings, token: str = "") -> Access:
    """Who may ask. Raises ConfigError where others could reach the server and there is no key yet."""
    if settings.auth == "off":
        return EVERYBODY
    keys, always = KeyStore(), not is_loopback(settings.host)
    if not keys.all() and always:
        raise ConfigError(
            f"others can reach a server at {settings.host}, and there is no key yet. Make one: `edgellm keys create "
            "NAME`. With --no-auth everybody who can reach it may use it, which is dangerous."
        )
    return Access(keys, always, token)


async def _serve(models: Models, settings: Settings, view: View, preload: bool) -> int:
    try:
        token = secrets.token_urlsafe(32)
        access = access_of(settings, token)
        with listen(settings.host, settings.port) as listener, ExitStack() as stack:
            url = instance.here(settings.host, listener.getsockname()[1])
            try:
                first = await asyncio.to_thread(stack.enter_context, instance.claim(url, token))
                if first is not None:
                    print(f"Note: {_told(first)}; `edgellm run` and `chat` go on using that one.", file=sys.stderr)
            except (EdgeLLMError, OSError) as error:  # a home that cannot be written; others just do not find us
                _log.warning("the server's address could not be written down", error=str(error))
            loading = asyncio.create_task(models.load("") if preload else asyncio.sleep(0))
            return await _answer(models, settings, listener, access, view, url, loading)
    finally:
        await models.aclose()


async def _answer(
    models: Models,
    settings: Settings,
    listener: socket.socket,
    access: Access,
    view: View,
    url: str,
    loading: asyncio.Task[None],
) -> int:
    """Answer at once, load meanwhile: early requests wait for the model, and /health says that it loads."""
    traffic = Traffic()
    server: Server
    app = create_app(
        models,
        hosts=LOOPBACK | {settings.host.lower()} if is_loopback(settings.host) else None,
        ready=loading.done,
        closing=lambda: server.closing,
        access=access,
        traffic=traffic,
        deadline_s=settings.deadline,
        library=Library(settings.offline),
    )
    server = Server(configure(app, settings.connections))
    serving = asyncio.create_task(server.serve([listener]))
    watching: asyncio.Task[None] | None = None
    try:
        await asyncio.wait({loading, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            return _INTERRUPTED
        loading.result()
        server.grace_s = settings.grace
        watching = asyncio.create_task(view(Serving(url, settings.host, models, traffic, server, access)))
        await asyncio.shield(serving)
        return 0
    finally:
        server.should_exit = True
        for task in (loading, watching):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (loading, serving, watching) if task), return_exceptions=True)


class Server(uvicorn.Server):
    """uvicorn's server, in two steps: once told to stop, it is `closing` until running requests ended or `grace_s` have
    passed; then, or when told again, it stops. It waits for the requests it cancels, and does not raise signals again.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.grace_s = 0.0
        self.closing = False
        self._closed = 0.0

    @property
    def grace_left_s(self) -> float:
        """Seconds until it stops whatever runs."""
        return max(0.0, self._closed + self.grace_s - time.monotonic()) if self.closing else self.grace_s

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self.closing:
            self.should_exit = self.force_exit = True
        else:
            self.closing, self._closed = True, time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        if await super().on_tick(counter):
            return True
        if not self.closing or (self.server_state.tasks and self.grace_left_s > 0.0):
            return False
        self.config.timeout_graceful_shutdown = _LAST_S  # they have had their time
        return True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for task in self.server_state.tasks if self.force_exit else ():
            task.cancel()
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=_CLEANUP_S)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def configure(app: ASGIApp, connections: int = CONNECTIONS) -> uvicorn.Config:
    """Settings of a quiet server; connections stay open long enough for clients that pool them."""
    return uvicorn.Config(
        app,
        http=limited(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ConfigError."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"Port {port} does not exist. Choose one between 1 and 65535, or 0 for any free one.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(_problem(error, host, port)) from error


def _problem(error: OSError, host: str, port: int) -> str:
    another = f"Choose another with --port, for example --port {port + 1 if port < 65535 else port - 1}, or --port 0."
    if error.errno == errno.EADDRINUSE:
        other = instance.find()
        if other is not None and other.url == instance.here(host, port):
            return f"Port {port} on {host} is in use: {_told(other)}. Stop that one, or c{another[1:]}"
        return f"Port {port} on {host} is in use, perhaps by another edgellm. {another}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not open port {port} on {host}. {another}"
    return f"Cannot serve at {host} port {port}: {error.strerror or error}. Choose another address with --host."


def _told(other: instance.Instance) -> str:
    return f"an edgellm server runs already, at {other.url} (process {other.pid})"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (not on Windows), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
