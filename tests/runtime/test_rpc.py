"""A model shared with RPC servers on loopback: the same text, memory that is really there, and every way to lose one.

Runs where llama.cpp was built with RPC, as docs/rpc.md tells; `LLAMA_CPP_LIB_PATH` may name such a build.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from edgellm import config
from edgellm.backends.base import Backend
from edgellm.backends.batch import Chunk
from edgellm.backends.llamacpp import library
from edgellm.config import ModelSettings, Settings
from edgellm.errors import Unavailable, Unsupported, WorkerDied
from edgellm.events import Event, Failed, Finished, Started
from edgellm.machine.machine import detect
from edgellm.request import GREEDY, ChatRequest, TokenIds
from edgellm.runtime import assemble, gguf_backend, rpc_lender, rpc_servers
from edgellm.runtime.process_model import ProcessModel
from tests import models, tiny_model

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _needs_rpc() -> None:
    try:
        library.devices().check()
    except Unsupported:
        pytest.skip("needs llama.cpp built with RPC, see docs/rpc.md")


@contextmanager
def lending(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server, and its process."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    endpoint = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "edgellm.backends.llamacpp.rpc_lend", endpoint, "1"]
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, **pipes) as process:
        try:
            _until_it_listens(port)
            yield endpoint, process
        finally:
            process.kill()


def _until_it_listens(port: int) -> None:
    for _ in range(300):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not begin to listen")


@pytest.fixture
def servers() -> Iterator[list[tuple[str, subprocess.Popen[bytes]]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(lending()) for _ in range(2)]


def greedy(backend: Backend, count: int) -> list[int]:
    tokens = backend.vocabulary.tokenize("The capital of France is", special=False, add_bos=True)
    written, at = [], 0
    for _ in range(count):
        rows = backend.decode([Chunk(0, at, tuple(tokens), 1)])
        at += len(tokens)
        tokens = [int(rows.argmax(0))]
        written += tokens
    return written


def small(**changes: object) -> ModelSettings:
    return ModelSettings(context=512, slots=2, parallel=2, threads=1, flash_attention="off", **changes)  # type: ignore[arg-type]


def opened(path: Path, *endpoints: str) -> ProcessModel:
    settings = Settings(context=2048, threads=1, rpc=",".join(endpoints), speculation="off", backend="llama.cpp")
    return assemble.open_model(str(path), settings)


def endless(count: int) -> ChatRequest:
    return ChatRequest(input=TokenIds((1, 2, 3)), sampling=GREEDY, max_tokens=count, ignore_eos=True)


def test_servers_tell_what_they_have(servers: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    found = rpc_servers.ask([endpoint for endpoint, _ in servers])
    assert [gpu.name for gpu in found.devices] == [endpoint for endpoint, _ in servers]
    assert all(gpu.total >= gpu.free > 2**28 for gpu in found.devices)


def test_text_is_that_of_this_computer_alone(servers: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    """In processes of their own, because servers stay with a process."""
    path = models.path("smollm2")
    rpc = ",".join(endpoint for endpoint, _ in servers)
    alone, shared = (_written(path, small(rpc=setting)) for setting in ("", rpc))
    assert alone == shared and len(alone) == 48


def _written(path: Path, settings: ModelSettings) -> list[int]:
    import msgspec

    code = "from tests.runtime import test_rpc; test_rpc.print_greedy()"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), msgspec.json.encode(settings).decode()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((root, *sys.path))},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [int(token) for token in done.stdout.splitlines()[-1].split()]


def print_greedy() -> None:
    import msgspec

    backend = gguf_backend.load(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=ModelSettings))
    print()
    print(*greedy(backend, 48))
    sys.stdout.flush()
    os._exit(0)


async def test_layers_lie_where_the_plan_says(servers: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    path = models.path("smollm2")
    before = [psutil.Process(process.pid).memory_info().rss for _, process in servers]
    model = opened(path, *(endpoint for endpoint, _ in servers))
    assert model.info.notes[-1].startswith("of 31 layers ")
    await model.start()
    grown = [
        psutil.Process(process.pid).memory_info().rss - size for (_, process), size in zip(servers, before, strict=True)
    ]
    await model.aclose()
    assert sum(grown) > 0.8 * path.stat().st_size and min(grown) > 0.25 * path.stat().st_size


async def test_a_server_that_dies_costs_the_answer_and_no_more(
    tmp_path: Path, servers: list[tuple[str, subprocess.Popen[bytes]]]
) -> None:
    model = opened(tiny_model.build(tmp_path), *(endpoint for endpoint, _ in servers))
    seen: list[Event] = []
    async for event in model.stream(endless(1500)):
        if not seen:
            servers[0][1].kill()
        seen.append(event)
    assert isinstance(seen[0], Started) and isinstance(seen[-1], Failed)
    assert seen[-1].code == "worker_died" and "an RPC server that held layers of it broke off" in seen[-1].message
    with pytest.raises(Unavailable, match=f"{servers[0][0]} cannot be reached: nothing listens there"):
        await model.start()
    await model.aclose()


async def test_after_it_came_back_the_next_request_is_answered(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path)
    with lending() as (endpoint, process):
        model = opened(path, endpoint)
        await model.start()
        process.kill()
        process.wait()
        with pytest.raises(WorkerDied):
            async for _ in model.stream(endless(8)):
                pass
    with lending(int(endpoint.rpartition(":")[2])):
        events = [event async for event in model.stream(endless(8))]
        await model.aclose()
    assert isinstance(events[-1], Finished) and events[-1].usage.completion_tokens == 8


async def test_a_server_serves_one_model_at_a_time(
    tmp_path: Path, servers: list[tuple[str, subprocess.Popen[bytes]]]
) -> None:
    endpoint = servers[0][0]
    model = opened(tiny_model.build(tmp_path), endpoint)
    await model.start()
    with pytest.raises(Unavailable, match="one model at a time"):
        rpc_servers.ask([endpoint], answer_s=4.0)
    await model.aclose()
    assert rpc_servers.ask([endpoint]).devices


def test_what_is_no_such_server() -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
    code += "while True: c, _ = s.accept(); c.recv(1); c.sendall(b'SSH-2.0-x\\r\\n'); c.close()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            port = int(other.stdout.readline())
            with pytest.raises(Unavailable, match="is no RPC server"):
                rpc_servers.ask([f"127.0.0.1:{port}"])
        finally:
            other.kill()


def test_a_port_that_is_taken(servers: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    with pytest.raises(Unavailable, match="Nothing can listen"):
        rpc_lender.address("127.0.0.1", int(servers[0][0].rpartition(":")[2]))


def test_lending_ends_with_whoever_began_it() -> None:
    with lending() as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def test_offline_and_loopback_go_together(servers: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    settings = config.load(environ={"EDGELLM_OFFLINE": "1", "EDGELLM_RPC": servers[0][0]})
    found = rpc_servers.with_servers(detect(), settings.rpc, offline=settings.offline)
    assert [gpu.kind for gpu in found.gpus] == ["rpc"]
