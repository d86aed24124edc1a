"""In which of its formats a model of the catalog is taken on this machine, and why."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from edgellm.catalog.entry import Entry
from edgellm.catalog.sources import Format, HubSource, Source
from edgellm.config import Settings
from edgellm.errors import UnsupportedModel
from edgellm.fit.backend_choice import OF_SETTING, choose
from edgellm.machine import processor
from edgellm.runtime import installed


def in_format(
    entry: Entry, sources: Iterable[Source], settings: Settings, is_here: Callable[[Entry], bool]
) -> tuple[Entry, str]:
    """`entry`, of all its `sources`, as the best backend reads it; and a clause on why, empty if nothing was chosen.

    What is here goes before what would have to be fetched, unless the settings name a backend. Raises UnsupportedModel
    where the model does not come for that one.
    """
    every = replace(entry, sources=tuple(sources))
    formats = tuple(dict.fromkeys(_format(source) for source in every.sources))
    wanted = OF_SETTING.get(settings.backend)
    apple = platform.system() == "Darwin" and processor.arch() == "arm64"
    choice = choose(formats, apple, wanted, installed.names())
    if wanted is not None and wanted not in formats:
        raise UnsupportedModel(f"{entry.reference} cannot be loaded so: {choice.reason}. Leave --backend to auto.")
    if entry.asked or choice.format == "gguf" or (source := every.hub_source(choice.format)) is None:
        return entry, ""
    better = every.at(next(iter(source.quantizations), ""))
    if wanted is None and "gguf" in formats and is_here(entry) and not is_here(better):
        return entry, f"it is here already; {better.reference} would come for {choice.backend}"
    return better, choice.reason


def _format(source: Source) -> Format:
    return source.format if isinstance(source, HubSource) else "gguf"
