"""Which model here is which one there: by the names that repositories, catalogs and servers give to weights."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgellm.catalog import catalog as catalogs
from edgellm.catalog.entry import Entry
from edgellm.catalog.sources import HubSource
from edgellm.remote.flavour import shown_as

# What names say of how weights are stored, and not of which they are.
_STORED = re.compile(
    r"[-_.:](gguf|mlx|onnx|awq|gptq(-int[48])?|int[48]|fp8|fp16|f16|bf16|f32|[48]-?bit|(i?q\d\w*)|mxfp4|latest|hf)$"
)


def entry_of(name: str) -> Entry | None:
    """The model of the catalog that a server calls `name`; None where none is known to be the same."""
    wanted = _key(name)
    entries = catalogs.current().entries.values()
    return next((entry for entry in entries if wanted in keys_of(entry, whole="/" in name)), None)


def keys_of(entry: Entry, *, whole: bool = False) -> set[str]:
    """By what it can be recognized; `whole`: without the short names of this catalog, which mean others elsewhere."""
    names = [source.repository for source in entry.sources if isinstance(source, HubSource)]
    names += [entry.file] if entry.file else []
    names += [entry.title.replace(" ", "-")]
    names += [] if whole else [entry.name, *(each for each in entry.aliases if any(map(str.isdigit, each)))]
    return {_key(name) for name in names}


def twin(name: str, entry: Entry | None, there: Iterable[str]) -> str | None:
    """Of the models `there`, the first with the weights of `entry`; without one, of the file or repository `name`."""
    for other in there:
        known = keys_of(entry, whole="/" in other) if entry is not None else {_key(name)}
        if _key(other) in known:
            return other
    return None


def _key(name: str) -> str:
    """The name alone: without its owner, its ending, and how the weights are stored."""
    text = shown_as(name).rpartition("/")[2].lower().removesuffix(".gguf")
    while (shorter := _STORED.sub("", text)) != text:
        text = shorter
    return text.replace(":", "-").replace("_", "-")
