"""llama.cpp's own RPC: devices of other computers beside those of this one, for the library in this process.

The Python binding lacks these calls; the library has them where it was built with them. It ends the process when a
server cannot be reached, is of another version, or breaks off: ask `rpc_probe` first, which is a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from edgellm.errors import Unsupported

LOST = 71
"""Exit code of a process that the library ends because of a server."""

FLAG = "-DGGML_RPC=ON"
NOT_BUILT = "this build of llama.cpp cannot use other computers' memory"

_LIBRARIES = {"win32": "ggml-rpc.dll", "darwin": "libggml-rpc.dylib"}
_PROCESSOR, _GPU, _INTEGRATED = 0, 1, 2  # ggml_backend_dev_type
_SILENCE_S, _EVERY_S, _TIMES = 15, 5, 3

_added: dict[str, Any] = {}  # by endpoint, as the library registers them: for the process


def lost(text: bytes) -> None:
    """What becomes of this process when the library is about to abort it for a server's sake."""
    os._exit(LOST)


on_lost: Callable[[bytes], None] = lost


def endpoints(setting: str) -> tuple[str, ...]:
    """Of `host:port,host:port`, each once."""
    return tuple(dict.fromkeys(part.strip() for part in setting.split(",") if part.strip()))


class Devices:
    """The devices that the library knows; `ggml` is where its `ggml_backend_*` functions are found."""

    def __init__(self, ggml: Any, folder: Path) -> None:
        """Raises Unsupported where the library does not lend its functions."""
        self._ggml, self._folder = ggml, folder
        address, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        sizes = ctypes.POINTER(size)
        self._by_name = self._function("ggml_backend_reg_by_name", [text], address)
        self._load = self._function("ggml_backend_load", [text], address)
        self._find = self._function("ggml_backend_reg_get_proc_address", [address, text], address)
        self._register = self._function("ggml_backend_register", [address], None)
        self._count = self._function("ggml_backend_dev_count", [], size)
        self._get = self._function("ggml_backend_dev_get", [size], address)
        self._type = self._function("ggml_backend_dev_type", [address], ctypes.c_int)
        self._memory = self._function("ggml_backend_dev_memory", [address, sizes, sizes], None)
        self._dev_count = self._function("ggml_backend_reg_dev_count", [address], size)
        self._dev_get = self._function("ggml_backend_reg_dev_get", [address, size], address)

    def check(self) -> None:
        """Raises Unsupported where the library was built without RPC."""
        self.function("ggml_backend_rpc_add_server", [ctypes.c_char_p], ctypes.c_void_p)

    def function(self, name: str, arguments: list[Any], result: Any) -> Any:
        """One of the RPC backend's own functions. Raises Unsupported where the library was built without it.

        A `libggml-rpc` that was built by itself is found where it lies beside the library's other parts.
        """
        backend = self._by_name(b"RPC")
        own = self._folder / _LIBRARIES.get(sys.platform, "libggml-rpc.so")
        if not backend and own.is_file():
            backend = self._load(os.fsencode(own))
        found = self._find(backend, name.encode()) if backend else None
        if not found:
            raise Unsupported(NOT_BUILT)
        return ctypes.CFUNCTYPE(result, *arguments)(found)

    def add(self, servers: tuple[str, ...]) -> None:
        """Register the devices of all `servers`, once a process; ends the process where one cannot be had."""
        for endpoint in servers:
            if endpoint in _added:
                continue
            add_server = self.function("ggml_backend_rpc_add_server", [ctypes.c_char_p], ctypes.c_void_p)
            server = add_server(endpoint.encode())
            if not server:
                raise Unsupported(f"the RPC server {endpoint} offers no device")
            self._register(server)
            _added[endpoint] = server

    def memory(self, endpoint: str) -> list[tuple[int, int]]:
        """Bytes free and in all of each of a server's devices; it must have been added."""
        server = _added[endpoint]
        return [self._bytes(self._dev_get(server, index)) for index in range(self._dev_count(server))]

    def own(self) -> list[Any]:
        """The devices of this computer that the library would use, but its processor."""
        remote = {
            self._dev_get(server, index) for server in _added.values() for index in range(self._dev_count(server))
        }
        graphics = [device for device in self._of(_GPU) if device not in remote]
        return graphics or self._of(_INTEGRATED)

    def processors(self) -> list[Any]:
        return self._of(_PROCESSOR)

    def _of(self, kind: int) -> list[Any]:
        found = [self._get(index) for index in range(self._count())]
        return [device for device in found if self._type(device) == kind]

    def _bytes(self, device: Any) -> tuple[int, int]:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._memory(device, ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def _function(self, name: str, arguments: list[Any], result: Any) -> Any:
        try:
            return ctypes.CFUNCTYPE(result, *arguments)((name, self._ggml))
        except AttributeError:  # a library that is built in another way
            raise Unsupported(NOT_BUILT) from None


def is_used() -> bool:
    """Whether this process has servers at all."""
    return bool(_added)


def watch(servers: tuple[str, ...]) -> None:
    """Have connections whose other side went without a word break off within half a minute: the library never would.

    There are some once a model is being loaded. A server that computes for long is no such case: its system answers.
    """
    addresses = {_address(endpoint) for endpoint in servers}
    try:
        connections = psutil.Process().net_connections("tcp4")
    except psutil.Error:
        return
    for each in connections:
        if each.raddr and (each.raddr[0], each.raddr[1]) in addresses and each.fd >= 0:
            with socket.socket(fileno=os.dup(each.fd)) as connection:
                _keep_asking(connection)


def _keep_asking(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {"TCP_KEEPIDLE": _SILENCE_S, "TCP_KEEPALIVE": _SILENCE_S}  # the second is macOS's name for the first
    wanted |= {"TCP_KEEPINTVL": _EVERY_S, "TCP_KEEPCNT": _TIMES}
    wanted |= {"TCP_USER_TIMEOUT": 1000 * (_SILENCE_S + _EVERY_S * _TIMES)}  # for what was sent and never acknowledged
    for name, value in wanted.items():
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    try:
        return socket.gethostbyname(host), int(port)
    except (OSError, ValueError):
        return host, 0
