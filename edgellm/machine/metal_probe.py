"""A program of its own: prints as JSON the Mac's GPU and the working set that Metal allows; exit code 1 without one."""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_OBJECTIVE_C = "/usr/lib/libobjc.A.dylib"
_FRAMEWORKS = "/System/Library/Frameworks"


def gpu(objective_c: Any, device: int) -> dict[str, Any]:
    """`total` is `recommendedMaxWorkingSetSize`, which follows `iogpu.wired_limit_mb` where that is set."""
    name = _send(objective_c, _send(objective_c, device, b"name", ctypes.c_void_p), b"UTF8String", ctypes.c_char_p)
    limit = int(_send(objective_c, device, b"recommendedMaxWorkingSetSize", ctypes.c_uint64))
    return {
        "name": (name or b"").decode("utf-8", "replace"),
        "total": limit,
        "free": limit,
        "unified": bool(_send(objective_c, device, b"hasUnifiedMemory", ctypes.c_bool)),
    }


def _send(objective_c: Any, receiver: Any, message: bytes, result: Any) -> Any:
    """One message without arguments; the function is typed anew for each kind of result, as its ABI demands."""
    objective_c.sel_registerName.restype = ctypes.c_void_p
    call = ctypes.CFUNCTYPE(result, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objective_c))
    return call(receiver, objective_c.sel_registerName(message))


def _device() -> int:
    ctypes.CDLL(f"{_FRAMEWORKS}/CoreGraphics.framework/CoreGraphics")  # without it a program gets no default device
    create = ctypes.CDLL(f"{_FRAMEWORKS}/Metal.framework/Metal").MTLCreateSystemDefaultDevice
    create.restype = ctypes.c_void_p
    return int(create() or sys.exit(1))


if __name__ == "__main__":
    print("\n" + json.dumps([gpu(ctypes.CDLL(_OBJECTIVE_C), _device())]))
