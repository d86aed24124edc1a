"""Names of models on the command line, as what is kept of them on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgellm.download.manifest import Manifest
    from edgellm.download.store import Store


def named(text: str, store: Store) -> Manifest:
    """What is here under `text`. Raises ModelNotFound, also for a file that is not edgellm's."""
    from pathlib import Path

    from edgellm import download
    from edgellm.catalog import catalog
    from edgellm.download import shelf
    from edgellm.errors import ModelNotFound

    if found := shelf.by_name(text, store):
        return found
    target = catalog.resolve(text)
    if isinstance(target, Path):
        raise ModelNotFound(f"{target} is a file of yours, which edgellm did not fetch. It is left alone.")
    found = download.held(target)
    if found is None:
        raise ModelNotFound(f"{text} is not on this machine. `edgellm models` lists what is.")
    return found
