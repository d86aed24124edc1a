"""RPC servers: what may be written, what each way of not getting one says, and what they add to a machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from edgellm import config
from edgellm.backends.llamacpp.rpc_probe import Told
from edgellm.errors import ConfigError, Unavailable, Unsupported
from edgellm.machine.gpus import Gpu
from edgellm.runtime import rpc_servers
from edgellm.runtime.rpc_servers import Lent, ask, checked, with_servers
from tests.fit import examples

GB = examples.GB


@contextmanager
def listening() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def closed() -> str:
    with listening() as endpoint:
        return endpoint


def lent(endpoints: Sequence[str]) -> Lent:
    return Lent(tuple(Gpu(name=endpoint, kind="rpc", free=4 * GB, total=8 * GB) for endpoint in endpoints))


@pytest.mark.parametrize("text", ["host", "host:", ":1", "host:http", "host:0", "host:65536", "[::1]:1", "a:1, b"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="host and port"):
        checked(text)


def test_several_with_commas_each_once() -> None:
    assert checked(" a:1,b:2 ,a:1,") == ("a:1", "b:2")
    assert checked("") == ()
    with pytest.raises(ConfigError, match="at most 16"):
        checked(",".join(f"a:{port}" for port in range(1, 18)))


def test_offline_only_this_computer_may_lend() -> None:
    assert checked("127.0.0.1:1,localhost:2,127.1.2.3:4", offline=True)
    for elsewhere in ("192.168.1.20:50052", "desktop:50052"):
        with pytest.raises(ConfigError, match="offline"):
            checked(elsewhere, offline=True)


def test_servers_come_before_the_machines_own() -> None:
    card = examples.machine(8, vram=4)
    assert with_servers(card, "") is card
    both = with_servers(card, "a:1,b:2", ask=lambda names: Lent(lent(names).devices, own=1))
    assert [gpu.name for gpu in both.gpus] == ["a:1", "b:2", "card"] and both.id == card.id
    assert [gpu.name for gpu in with_servers(card, "a:1", ask=lent).gpus] == ["a:1"]


def test_nobody_listens() -> None:
    with pytest.raises(Unavailable, match="nothing listens there"):
        ask([closed()])


def test_no_such_computer() -> None:
    with pytest.raises(Unavailable, match=r"no computer called no\.such\.computer\.invalid"):
        ask(["no.such.computer.invalid:50052"])


def probed(monkeypatch: pytest.MonkeyPatch, code: int | None, *lines: Told) -> str:
    """What `ask` says when the probe prints these lines."""
    monkeypatch.setattr(rpc_servers, "_probe", lambda endpoints, patience_s: (list(lines), code))
    with listening() as endpoint, pytest.raises((Unavailable, Unsupported)) as caught:
        ask([endpoint])
    return str(caught.value)


def test_a_library_without_rpc_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = probed(monkeypatch, 0, Told(own=0), Told(missing="not built"))
    assert 'CMAKE_ARGS="-DGGML_RPC=ON" pip install' in said and "llama-cpp-python==" in said


def test_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Told(lost="RPC server version mismatch: 3.6.0\nggml-rpc.cpp:550: RPC handshake failed for a:1")
    said = probed(monkeypatch, 71, Told(own=0), Told(asking="a:1"), lost)
    assert "a:1 speaks version 3.6.0" in said and "same version" in said


def test_another_kind_of_server(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Told(lost="ggml-rpc.cpp:354: Remote RPC server crashed or returned malformed response")
    assert "is no RPC server" in probed(monkeypatch, 71, Told(asking="a:1"), lost)


def test_a_server_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "one model at a time" in probed(monkeypatch, None, Told(own=0), Told(asking="a:1"))


def test_a_probe_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ended with code 5" in probed(monkeypatch, 5)


def test_servers_that_a_model_of_ours_has_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [lent(["127.0.0.1:1"]), rpc_servers._Busy("busy"), Unavailable("gone")]

    def answer(*_: object) -> Lent:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(rpc_servers, "ask", answer)
    monkeypatch.setattr(rpc_servers, "_remembered", {})
    monkeypatch.setattr(rpc_servers, "_FRESH_S", -1.0)
    first, second = (with_servers(examples.machine(8), "127.0.0.1:1") for _ in range(2))
    assert first.gpus == second.gpus and len(answers) == 1
    with pytest.raises(Unavailable, match="gone"):
        with_servers(examples.machine(8), "127.0.0.1:1")


def test_each_device_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as endpoint:
        told = [Told(own=2), Told(asking=endpoint), Told(memory=[(1, 2), (3, 4)])]
        monkeypatch.setattr(rpc_servers, "_probe", lambda endpoints, patience_s: (told, 0))
        found = ask([endpoint])
    assert [(gpu.name, gpu.free, gpu.total) for gpu in found.devices] == [
        (f"{endpoint} #1", 1, 2),
        (f"{endpoint} #2", 3, 4),
    ]
    assert found.own == 2


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config.load(environ={"EDGELLM_RPC": "a:1,b:2", "EDGELLM_LAYER_SPLIT": "20,12"})
    assert settings.model_settings().rpc == "a:1,b:2" and settings.model_settings().layer_split == "20,12"
    with pytest.raises(ConfigError, match="whole numbers with commas"):
        config.load(environ={"EDGELLM_LAYER_SPLIT": "half"})
