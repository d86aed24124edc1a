"""Starts the servers to compare, waits until they are ready, and ends them whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

EDGELLM, LLAMA_SERVER = "edgellm", "llama-server"
_LOADING_S, _LEAVING_S = 300.0, 20.0


class DidNotStart(Exception):
    """A server ended or stayed silent; quotes the last it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What both servers get alike. `backend` is edgellm's, `extra` are further arguments for llama-server."""

    model: Path
    threads: int
    context: int
    parallel: int
    llama_server: Path | None = None
    backend: str = "llama.cpp"
    extra: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [EDGELLM, LLAMA_SERVER] if self.llama_server else [EDGELLM]

    def command(self, name: str, port: int) -> list[str]:
        alike = ["--port", str(port), "--host", "127.0.0.1", "-m", str(self.model)]
        if name == EDGELLM:
            chosen = {
                "threads": self.threads,
                "context": self.context,
                "parallel": self.parallel,
                "backend": self.backend,
            }
            own = [word for key, value in chosen.items() for word in (f"--{key}", str(value))]
            return [sys.executable, "-m", "edgellm.cli", "serve", *alike, *own]
        assert self.llama_server is not None
        own = ["-t", str(self.threads), "-c", str(self.context), "-np", str(self.parallel)]
        return [str(self.llama_server), *alike, *own, *_optional(self.llama_server), *self.extra]


class Server:
    """One that was started; ask it nothing before `wait_until_ready`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.port = port
        self._process = process
        self._output = output

    def wait_until_ready(self) -> None:
        """Raises DidNotStart."""
        deadline = time.monotonic() + _LOADING_S
        while not _healthy(self.port):
            if self._process.poll() is not None:
                raise DidNotStart(f"{self.name} ended with status {self._process.returncode}:\n{self._said()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} was not ready after {_LOADING_S:.0f} s:\n{self._said()}")
            time.sleep(0.1)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_LEAVING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")[-1500:]


@contextlib.contextmanager
def started(setup: Setup, name: str) -> Iterator[Server]:
    """The server `name` from its first moment on; ended afterwards."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="edgellm-bench-", ignore_cleanup_errors=True) as directory:
        output = Path(directory) / "output.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                setup.command(name, port),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_environment(Path(directory)),
            )
        server = Server(name, process, port, output)
        try:
            yield server
        finally:
            server.end()


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _environment(directory: Path) -> dict[str, str]:
    """Ours without edgellm's and llama.cpp's variables, and a home of its own: nobody's settings are measured."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EDGELLM_", "LLAMA_ARG_"))}
    return {**kept, "EDGELLM_HOME": str(directory / "home")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@cache
def _optional(program: Path) -> tuple[str, ...]:
    """What this build knows of: no web page, and one KV cache that all sequences share, as edgellm's do."""
    done = subprocess.run([str(program), "--help"], capture_output=True, text=True, timeout=60, check=False)
    wanted = ("--no-webui", "--kv-unified")
    return tuple(option for option in wanted if option in done.stdout)
