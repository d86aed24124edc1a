"""The RPC servers that lend a model their memory: asked what they have, and added to the machine it is planned for."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgellm.backends.llamacpp import rpc
from edgellm.backends.llamacpp.build import PACKAGE
from edgellm.backends.llamacpp.rpc_probe import Told
from edgellm.errors import ConfigError, Unavailable, Unsupported
from edgellm.machine.gpus import Gpu
from edgellm.machine.machine import Machine

CONNECT_S = 3.0
ANSWER_S = 15.0
"""For all servers together, once they took the connection; loading the library is part of it."""
_AGAIN_S = 4.0
"""The same, for those that have answered before."""
_FRESH_S = 5.0
"""How long an answer counts: one command plans several times."""
MOST = 16  # GGML_RPC_MAX_SERVERS

_VERSION = re.compile(r"version mismatch: ([\d.]+)")


class _Busy(Unavailable):
    """It takes connections and does not answer."""


class Lent(msgspec.Struct, frozen=True):
    """`devices` in the order of the endpoints; `own` counts this computer's, which the library puts after them."""

    devices: tuple[Gpu, ...]
    own: int = 0


Ask = Callable[[Sequence[str]], Lent]

_remembered: dict[tuple[str, ...], tuple[float, Lent]] = {}


def with_servers(machine: Machine, setting: str, *, offline: bool = False, ask: Ask | None = None) -> Machine:
    """`machine` with the devices of the servers that the setting `rpc` names before its own.

    Its own GPUs stay where the library can use them. Raises ConfigError, Unsupported or Unavailable.
    """
    endpoints = checked(setting, offline=offline)
    if not endpoints:
        return machine
    lent = (ask or _recently)(endpoints)
    return replace(machine, gpus=(*lent.devices, *(machine.gpus if lent.own else ())))


def checked(setting: str, *, offline: bool = False) -> tuple[str, ...]:
    """The endpoints of the setting, without asking anybody but for names. Raises ConfigError."""
    endpoints = rpc.endpoints(setting)
    if len(endpoints) > MOST:
        raise ConfigError(f"rpc names {len(endpoints)} servers, and llama.cpp takes at most {MOST}. Name fewer.")
    for endpoint in endpoints:
        host, _, port = endpoint.rpartition(":")
        if not host or ":" in host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ConfigError(
                f"rpc names {endpoint!r}, which is no host and port. Write it like 192.168.1.20:50052, several of them "
                "with commas between; IPv6 addresses are not possible."
            )
        if offline and not _is_here(host):
            raise ConfigError(
                f"the RPC server {endpoint} is on the network, and the offline setting forbids that. "
                "Leave it out, or unset EDGELLM_OFFLINE."
            )
    return endpoints


def ask(endpoints: Sequence[str], answer_s: float = ANSWER_S) -> Lent:
    """What the servers have now. Blocks for half a second, longer where one does not answer.

    Raises Unavailable, and Unsupported where the library here has no RPC.
    """
    for endpoint in endpoints:
        _connect(endpoint)
    lines, code = _probe(endpoints, answer_s)
    if error := _refusal(endpoints, lines, code):
        raise error
    memory = [told.memory for told in lines if told.memory is not None]
    own = next((told.own for told in lines if told.own is not None), 0)
    devices = (
        Gpu(name=endpoint if len(found) == 1 else f"{endpoint} #{index + 1}", kind="rpc", free=free, total=total)
        for endpoint, found in zip(endpoints, memory, strict=True)
        for index, (free, total) in enumerate(found)
    )
    return Lent(tuple(devices), own)


def _refusal(endpoints: Sequence[str], lines: Sequence[Told], code: int | None) -> Unsupported | Unavailable | None:
    """What is wrong, if the probe did not hear from all servers."""
    last = next((told.asking for told in reversed(lines) if told.asking), endpoints[0])
    if any(told.missing for told in lines):
        return Unsupported(missing_words())
    if lost := next((told.lost for told in lines if told.lost), ""):
        return Unavailable(_lost(last, lost))
    if code is None:
        return _Busy(
            f"The RPC server {last} took the connection and does not answer. It serves one model at a time: close the "
            "other program that uses it, or see whether another program has its port."
        )
    if sum(told.memory is not None for told in lines) < len(endpoints):
        return Unavailable(f"The RPC server {last} cannot be used: asking it ended with code {code}.")
    return None


def _recently(endpoints: Sequence[str]) -> Lent:
    """A model of ours that is to make room may have the servers: what they told before it did then holds."""
    known = _remembered.get(tuple(endpoints))
    if known is None:
        known = time.monotonic(), ask(endpoints)
    elif time.monotonic() - known[0] > _FRESH_S:
        with contextlib.suppress(_Busy):
            known = time.monotonic(), ask(endpoints, _AGAIN_S)
    _remembered[tuple(endpoints)] = known
    return known[1]


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _connect(endpoint: str) -> None:
    """Say what is wrong while it can still be told: the library only knows that it failed."""
    host, _, port = endpoint.rpartition(":")
    try:
        address = socket.gethostbyname(host)
    except (OSError, UnicodeError):
        raise Unavailable(
            f"There is no computer called {host}. Correct the RPC server {endpoint}, or leave it out of --rpc."
        ) from None
    try:
        with socket.create_connection((address, int(port)), timeout=CONNECT_S):
            return
    except ConnectionRefusedError:
        reason = "nothing listens there"
    except TimeoutError:
        reason = f"it did not answer within {CONNECT_S:.0f} s"
    except OSError as error:
        reason = error.strerror or str(error)
    raise Unavailable(
        f"The RPC server {endpoint} cannot be reached: {reason}. Start it there (edgellm lend, or llama.cpp's "
        "ggml-rpc-server), see whether a firewall is between, or leave it out of --rpc."
    )


def _probe(endpoints: Sequence[str], patience_s: float) -> tuple[list[Told], int | None]:
    """What the program printed and its exit code; None where it did not end in time."""
    path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
    command = [sys.executable, "-P", "-X", "utf8", "-m", "edgellm.backends.llamacpp.rpc_probe", *endpoints]
    try:
        child = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise Unavailable(f"The RPC servers cannot be asked: {error}.") from error
    try:
        printed, _ = child.communicate(timeout=patience_s)
        code: int | None = child.returncode
    except subprocess.TimeoutExpired:
        child.kill()
        printed, _ = child.communicate()
        code = None
    except BaseException:
        child.kill()
        child.wait()
        raise
    return [told for line in printed.splitlines() if (told := _read(line)) is not None], code


def _read(line: bytes) -> Told | None:
    try:
        return msgspec.json.decode(line, type=Told)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def missing_words() -> str:
    """What to do where the library here has no RPC."""
    from importlib.metadata import version

    again = advice(version(PACKAGE))
    return f"{rpc.NOT_BUILT[0].upper()}{rpc.NOT_BUILT[1:]}. Build it anew with RPC (minutes, a C++ compiler): {again}"


def advice(version: str) -> str:
    """The command that builds llama.cpp with RPC."""
    again = f"pip install --force-reinstall --no-deps --no-cache-dir --no-binary {PACKAGE} {PACKAGE}=={version}"
    return f'CMAKE_ARGS="{rpc.FLAG}" {again}'


def _lost(endpoint: str, said: str) -> str:
    if version := _VERSION.search(said):
        return (
            f"The RPC server {endpoint} speaks version {version[1]} of llama.cpp's protocol, and the llama.cpp here "
            "another. Run the same version of llama.cpp, or of edgellm, on both computers."
        )
    return (
        f"What listens at {endpoint} is no RPC server of llama.cpp, or one of another version: it broke off. "
        "Correct the port, or run the same version of llama.cpp, or of edgellm, on both computers."
    )
