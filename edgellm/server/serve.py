"""`run`: serve one model over HTTP until Ctrl-C, and give its memory back whatever happens."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import uvicorn
from starlette.types import ASGIApp

from edgellm.errors import ConfigError
from edgellm.model import Model
from edgellm.server.app import LOOPBACK, create_app
from edgellm.server.models import OneModel

GRACE_S = 3
_CLEANUP_S = 5.0
_INTERRUPTED = 130
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


def run(model: Model, host: str, port: int, aliases: Sequence[str] = ()) -> int:
    """Serve `model` at `host`:`port` (0: any free port) and return the exit status.

    Requests may call it by its own name or by any of `aliases`. Raises ConfigError when the address cannot be had
    and LoadError when the model cannot.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(_serve(model, aliases, host, port))
        except KeyboardInterrupt:
            return _INTERRUPTED


async def _serve(model: Model, aliases: Sequence[str], host: str, port: int) -> int:
    try:
        with listen(host, port) as listener:
            return await _answer(model, aliases, host, listener)
    finally:
        await model.aclose()


async def _answer(model: Model, aliases: Sequence[str], host: str, listener: socket.socket) -> int:
    """Answer at once, load meanwhile: early requests wait for the model, and /health says that it loads."""
    loading = asyncio.create_task(model.start())
    hosts = LOOPBACK | {host.lower()} if _is_loopback(host) else None
    server = Server(configure(create_app(OneModel(model, aliases), hosts=hosts, ready=loading.done)))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.wait({loading, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            return _INTERRUPTED
        loading.result()
        _announce(model.info.name, host, listener.getsockname()[1])
        await asyncio.shield(serving)
        return 0
    finally:
        loading.cancel()
        server.should_exit = True
        await asyncio.gather(loading, serving, return_exceptions=True)


def _announce(name: str, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    print(f"edgellm is serving {name} at http://{shown}:{port}/v1", flush=True)
    if not _is_loopback(host):
        print(f"Warning: everyone who can reach {host} can use this server: it asks for no key.", file=sys.stderr)


class Server(uvicorn.Server):
    """uvicorn's server, but it waits for the requests it cancels, and does not raise signals again when it is done."""

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


def configure(app: ASGIApp) -> uvicorn.Config:
    """Settings of a quiet server; connections stay open long enough for clients that pool them."""
    return uvicorn.Config(
        app,
        http="httptools" if find_spec("httptools") else "h11",
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
        return f"Port {port} on {host} is in use, perhaps by another edgellm. {another}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not open port {port} on {host}. {another}"
    return f"Cannot serve at {host} port {port}: {error.strerror or error}. Choose another address with --host."


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (not on Windows), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
