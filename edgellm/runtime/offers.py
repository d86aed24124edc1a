"""Which models on this machine can be asked for by which names; nothing is fetched, and no path is a name."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from edgellm import download
from edgellm.catalog import catalog as catalogs, in_place
from edgellm.catalog.catalog import Catalog
from edgellm.catalog.reference import PathReference, UpstreamReference, UrlReference, parse
from edgellm.catalog.sources import Format
from edgellm.config import Settings
from edgellm.download.store import Store
from edgellm.errors import EdgeLLMError, LoadError, ModelNotFound
from edgellm.fit.backend_choice import OF_FORMAT
from edgellm.model import ModelInfo
from edgellm.runtime import installed
from edgellm.runtime.hosted_names import hint
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.locate import Located, choose, here
from edgellm.runtime.standing import Kind

_FRESH_S = 5.0
"""How long a look at what is on this machine holds, where nobody misses anything."""


class Offer(msgspec.Struct, frozen=True):
    """A model on this machine. `info` is what its header tells; its context is known once it is loaded."""

    located: Located
    info: ModelInfo
    aliases: tuple[str, ...] = ()
    kind: Kind = "chat"


def offer(located: Located, aliases: Iterable[str] = ()) -> Offer:
    """`located` as it is offered; a header that cannot be read is told of when the model is loaded."""
    known = ModelInfo(name=located.name, sampling=located.sampling, created=_changed(located.path))
    embeds = located.entry is not None and not {"embeddings", "rerank"}.isdisjoint(located.entry.good_for)
    try:
        facts = facts_of(located.path)
    except (LoadError, ModelNotFound, OSError):
        return Offer(located, known, tuple(aliases), "embeddings" if embeds else "chat")
    info = msgspec.structs.replace(
        known,
        backend=OF_FORMAT[facts.format],
        size_bytes=facts.file_bytes,
        parameters=facts.parameters,
        quantization=facts.quantization,
        architecture=facts.architecture,
    )
    return Offer(located, info, tuple(aliases), "embeddings" if embeds or facts.pooling else "chat")


def on_this_machine() -> Iterator[Offer]:
    """All of them, those of the catalog first. Reads headers that were not read before."""
    catalog = catalogs.current()
    seen: set[Path] = set()
    usable = installed.names()
    for located, aliases in _located(catalog):
        if located.path in seen or located.kind is None:
            continue
        seen.add(located.path)
        found = offer(located, aliases)
        if _runs(located.kind, found.kind, usable):
            yield found


def _runs(format: Format, kind: Kind, usable: Collection[str]) -> bool:
    """Whether something here can: embeddings come from llama.cpp and plain ONNX Runtime, which are always here."""
    return format != "mlx" if kind == "embeddings" else OF_FORMAT[format] in usable


def _located(catalog: Catalog) -> Iterator[tuple[Located, tuple[str, ...]]]:
    for entry in catalog.entries.values():
        if (held := download.held(entry)) is not None:
            yield Located(path=held.path, name=entry.reference, entry=entry), entry.aliases
    for manifest in Store().manifests():
        if manifest.is_present:
            known = catalog.named(manifest.reference.partition(":")[0])
            yield Located(path=manifest.path, name=manifest.reference, entry=known), ()
    for found in in_place.on_this_machine():
        tag = in_place.quantization(found)
        plain = found.name.rpartition(":")[0] if tag and found.name.endswith(f":{tag}") else found.name
        yield Located(path=found.path, name=found.name, entry=catalog.of_repository(plain)), ()


class Offers:
    """Finds offers by name; `always` has those that are offered wherever they lie, the first of them the default."""

    def __init__(self, settings: Settings, always: Iterable[Offer] = ()) -> None:
        self._settings = msgspec.structs.replace(settings, offline=True)
        self._always = tuple(always)
        self._list: tuple[Offer, ...] = ()
        self._by_name: dict[str, Offer] = {}
        self._chosen: dict[str, Offer] = {}
        self._looked_at = -_FRESH_S
        self._lock = asyncio.Lock()

    async def all(self) -> tuple[Offer, ...]:
        if time.monotonic() > self._looked_at + _FRESH_S:
            await self._look()
        return self._list

    def changed(self) -> None:
        """Somebody brought a model, removed one, or moved an alias: look again at the next question."""
        self._looked_at = -math.inf
        self._by_name = {}
        self._chosen = {}

    async def named(self, name: str) -> Offer:
        """The model of this name or alias; "" is the default. Once chosen, an alias means the same while it is here.

        Raises ModelNotFound, which tells the names there are.
        """
        wanted = name.strip().lower()
        found = self._known(wanted)
        if found is None:
            await self._look()
            found = self._known(wanted)
        if found is None:
            found = self._chosen[wanted] = await asyncio.to_thread(self._search, name.strip())
        return found

    def _known(self, wanted: str) -> Offer | None:
        if not wanted and self._always:
            return self._always[0]
        found = self._by_name.get(wanted) or self._by_name.get(wanted.removesuffix(":latest"))
        if found is None:
            found = self._chosen.get(wanted)
        return found if found is not None and found.located.path.exists() else None

    async def _look(self) -> None:
        async with self._lock:
            listed = await asyncio.to_thread(lambda: tuple(on_this_machine()))
        paths = {each.located.path for each in self._always}
        self._list = (*self._always, *(each for each in listed if each.located.path not in paths))
        names: dict[str, Offer] = {}
        for each in self._list:
            names.setdefault(each.info.name.lower(), each)
        for each in self._list:
            for alias in each.aliases:
                names.setdefault(alias.lower(), each)
        self._by_name = names
        self._looked_at = time.monotonic()

    def _search(self, name: str) -> Offer:
        """What the catalog makes of `name`, if that is here; "" is what the settings name, or the only one there is."""
        generating = [each for each in self._list if each.kind == "chat"]
        if not name and len(generating) == 1:
            return generating[0]
        try:
            located = self._chosen_of(name or self._settings.model)
        except EdgeLLMError:
            located = None
        if located is None:
            raise self._not_found(name)
        return next((each for each in self._list if each.located.path == located.path), None) or offer(located)

    def _chosen_of(self, name: str) -> Located | None:
        catalog, wanted = catalogs.current(), name.removesuffix(":latest")
        if isinstance(parse(wanted), PathReference | UrlReference):
            return None  # a path of a client's is no name; what an alias of this user's leads to is
        candidates = catalog.candidates(wanted)
        if len(candidates) == 1 and isinstance(candidates[0], PathReference):
            path = catalogs.here(candidates[0].path)
            return None if path is None else Located(path=path.absolute(), name=wanted)
        if any(isinstance(each, PathReference | UrlReference) for each in candidates):
            return None
        target = choose(candidates, catalog, self._settings, ask=False).target
        return None if isinstance(target, Path | UpstreamReference) else here(target, catalog)

    def _not_found(self, name: str) -> ModelNotFound:
        names = [each.info.name for each in self._list]
        if not names:
            return ModelNotFound("There is no model on this machine. `edgellm pull smollm2` brings a small one.")
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        if not name:
            return ModelNotFound(f"No model is named, and none is the default. Name one of these: {shown}.")
        return ModelNotFound(
            f"There is no model {name[:200]!r} here. Name one of these, or bring it with `edgellm pull`: {shown}."
            + hint(name)
        )


def _changed(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0
