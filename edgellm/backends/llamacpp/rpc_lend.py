"""Lends this computer's devices to llama.cpp on other computers, as a program of its own until its input ends.

`python -m edgellm.backends.llamacpp.rpc_lend HOST:PORT THREADS`
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

from edgellm.backends.llamacpp import library
from edgellm.backends.llamacpp.threads import default_threads
from edgellm.errors import Unsupported

MISSING = 3
"""Exit code where the library was built without RPC."""


def main(endpoint: str, threads: int) -> int:
    """The library accepts one client after the other, and returns only where it cannot listen."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_until_orphaned, daemon=True).start()
    try:
        devices = library.devices()
        size, text, many = ctypes.c_size_t, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)
        start = devices.function("ggml_backend_rpc_start_server", [text, text, size, size, many], None)
    except Unsupported:
        return MISSING
    found = devices.own() or devices.processors()
    start(endpoint.encode(), None, threads or default_threads(), len(found), (ctypes.c_void_p * len(found))(*found))
    return 1


def _until_orphaned() -> None:
    """Whoever started us holds the other end of our input, and nobody else would end us after it died."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    os._exit(main(sys.argv[1], int(sys.argv[2])))
