"""`edgellm stop`: have the running server let go of a model."""

from __future__ import annotations

from typing import Annotated

import typer


def stop(model: Annotated[str, typer.Argument(metavar="MODEL", help="A name that `edgellm ps` shows.")]) -> int:
    """Take a model out of the running server's memory, once the requests that use it are done."""
    from edgellm.cli import own_server
    from edgellm.errors import ModelNotFound

    server = own_server.running()
    entry = server.named(model)
    if entry is None:
        raise ModelNotFound(f"The server at {server.url} has no model {model!r}. `edgellm ps` shows those in memory.")
    if entry["status"]["value"] == "unloaded":
        print(f"{entry['id']} is not in memory.")
        return 0
    server.unload(model)
    print(f"{entry['id']} is out of memory.")
    return 0
