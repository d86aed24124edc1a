"""`edgellm pull`: bring a model to this machine, or check the one that is here."""

from __future__ import annotations

from typing import Annotated

import typer

from edgellm.cli import options


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `edgellm models`.")] = "default",
    offline: options.Offline = None,
) -> int:
    """Fetch a model and check its sum. One that is already here is only checked."""
    from pathlib import Path

    from edgellm import config, download
    from edgellm.catalog import catalog
    from edgellm.cli.progress import Meter
    from edgellm.download.store import Store

    settings = config.load({"offline": offline})
    entry = catalog.resolve(name)
    if isinstance(entry, Path):
        print(f"{entry} is a file on this machine already; use it with -m")
        return 0
    with Meter() as meter:
        here = Store().is_verified(entry, meter)
        path = download.ensure(entry, meter, offline=settings.offline)
    print(f"{entry.name} is already here: {path}" if here else f"{entry.name} is ready: {path}")
    return 0
