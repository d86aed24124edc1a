"""`run` in a process of its own: it tells its address, stops on Ctrl-C, and always closes its model."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgellm.config import Settings
from edgellm.errors import ConfigError
from edgellm.server.models import OneModel
from edgellm.server.serve import listen, run
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from edgellm.config import Settings
from edgellm.errors import EdgeLLMError, LoadError
from edgellm.server.models import OneModel
from edgellm.server.serve import run
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import wait_until

model = EchoModel("my-echo")
{setup}
try:
    code = run(OneModel(model, ("default", "my-echo")), Settings(host="127.0.0.1", port=0, grace={grace}))
except EdgeLLMError as error:
    print("error:", error)
    code = 1
print("closed:", model.closed, "cancelled:", model.cancelled, "open:", model.open)
sys.exit(code)
"""
SLOW = """
import asyncio

async def start():
    print("loading", flush=True)
    await asyncio.sleep(60)

model.start = start
"""

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="a test there cannot send Ctrl-C to one process")


@contextmanager
def started(setup: str = "", grace: float = 1.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT.format(setup=setup, grace=grace)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "PYTHONPATH": ".", "EDGELLM_HOME": home}
        with subprocess.Popen(command, cwd=ROOT, text=True, env=environ, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    line = process.stdout.readline()
    assert line.startswith("edgellm is serving my-echo at http://127.0.0.1:")
    assert line.endswith("/v1\n")
    return int(line.split(":")[-1].split("/")[0])


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_a_stream_runs(number: signal.Signals) -> None:
    with started("model.delay_s = 0.1") as process:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(process), timeout=20)
        body = b'{"stream": true, "prompt": "' + b"word " * 9999 + b'", "max_tokens": -1}'
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        assert response.readline().startswith(b"data: ")
        process.send_signal(number)
        assert b"shutting down" in response.read()
        connection.close()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == "closed: True cancelled: 1 open: 0\n"
    assert err == ""


def test_the_model_answers_to_its_aliases_and_tells_each_name_once() -> None:
    with started() as process:
        port = port_of(process)
        assert [_ask(port, name)[0] for name in ("my-echo", "default", "")] == [200, 200, 200]
        status, said = _ask(port, "other")
    assert status == 404
    assert said["error"]["message"].endswith("or none at all: my-echo, default.")


def _ask(port: int, name: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        body = json.dumps({"prompt": "hi", "model": name})
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@needs_signals
def test_a_second_ctrl_c_does_not_wait() -> None:
    body = b'{"prompt": "x"}'
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with started("model.hold = True", grace=600) as process:
        port = port_of(process)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            wait_until(lambda: _running(port) == 1)
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert process.stdout.read() == "closed: True cancelled: 1 open: 0\n"


def _running(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/health")
        return int(json.loads(connection.getresponse().read())["models"]["my-echo"]["running"])
    finally:
        connection.close()


@needs_signals
def test_ctrl_c_while_the_model_loads() -> None:
    with started(SLOW) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == "closed: True cancelled: 0 open: 0\n"
    assert err == ""


def test_a_model_that_does_not_load() -> None:
    with started("model.load_error = LoadError('It is broken. Fetch it again.')") as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == "error: It is broken. Fetch it again.\nclosed: True cancelled: 0 open: 0\n"


def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    model = EchoModel()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} .* in use.*--port"):
            run(OneModel(model), Settings(host="127.0.0.1", port=port))
    assert model.closed


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("no.such.host.invalid", 0)])
def test_addresses_that_cannot_be(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match="Choose"):
        listen(host, port)
