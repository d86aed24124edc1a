"""Asks RPC servers what memory they have, as a program of its own: the library ends a process that a server fails.

`python -m edgellm.backends.llamacpp.rpc_probe HOST:PORT...` prints a line of JSON for whatever it learns.
"""

from __future__ import annotations

import os
import sys

import msgspec

from edgellm.backends.llamacpp import library, rpc
from edgellm.errors import Unsupported


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `asking` comes before a server is asked, `memory` (free and total bytes of each device) after it.

    `missing` says why the library here cannot ask at all, `lost` why it ended the process. `own` counts the devices of
    this computer that the library would use beside its processor.
    """

    asking: str = ""
    memory: list[tuple[int, int]] | None = None
    missing: str = ""
    lost: str = ""
    own: int | None = None


def tell(told: Told) -> None:
    """A library may have printed something of its own on the same line before."""
    os.write(1, b"\n" + msgspec.json.encode(told) + b"\n")


def _lost(text: bytes) -> None:
    said = library.log.since(0, problems=True)
    tell(Told(lost="\n".join([*said, text.decode("utf-8", "replace")])))
    rpc.lost(text)


def main(endpoints: list[str]) -> None:
    rpc.on_lost = _lost
    try:
        devices = library.devices()
        tell(Told(own=len(devices.own())))
        devices.check()
        for endpoint in endpoints:
            tell(Told(asking=endpoint))
            devices.add((endpoint,))
            tell(Told(memory=devices.memory(endpoint)))
    except Unsupported as error:
        tell(Told(missing=str(error)))
    sys.stdout.flush()
    os._exit(0)  # the library's own ending waits for servers


if __name__ == "__main__":
    main(sys.argv[1:])
