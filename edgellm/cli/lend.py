"""`edgellm lend`: this computer's memory and processor for a model that another computer's edgellm runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgellm.cli import options


def lend(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="IPv4 address of this computer to listen at.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65_535, help="Where to listen.")] = 50052,
    threads: options.Threads = None,
) -> int:
    """Lend this computer to a model of another one, which names it with --rpc, until Ctrl-C. One model at a time.

    Dangerous: llama.cpp's RPC asks for no password and checks little. Only in a network that can be trusted.
    """
    from edgellm import config
    from edgellm.runtime import rpc_lender

    settings = config.load({"threads": threads})
    found = rpc_lender.address(host, port)
    if not found.startswith("127."):
        print(
            f"Whoever reaches {found}:{port} can use this computer, and may take it over: there is no password. "
            "Only in a network that can be trusted.",
            file=sys.stderr,
        )
    print(f"Lending at {found}:{port}; on the other computer: --rpc {found}:{port}. Ctrl-C ends it.", file=sys.stderr)
    rpc_lender.lend(found, port, settings.threads)
    return 0
