"""`PooledModels`: all models on this machine as the server's `Models`, loaded on demand by a pool."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from edgellm.config import Settings
from edgellm.embedder import Embedder
from edgellm.errors import ConfigError, ModelNotFound, RequestError, Unsupported
from edgellm.machine.machine import Machine
from edgellm.model import Model
from edgellm.runtime.keep_alive import keep_alive_seconds
from edgellm.runtime.locate import Located
from edgellm.runtime.offers import Offer, Offers, offer
from edgellm.runtime.open_offer import opener
from edgellm.runtime.pool import Pool
from edgellm.runtime.pool_place import Place
from edgellm.runtime.pooled_model import PooledModel
from edgellm.runtime.resident import Opened
from edgellm.runtime.room import MIB, Room
from edgellm.runtime.standing import Kind, Standing, State

_EMBED = "embed"
"""The alias of the model that makes embeddings where none is named."""


_STATES: dict[str, State] = {"ready": "loaded", "loading": "loading", "leaving": "unloading"}


class PooledModels:
    """`first`, if given, is the default model and stays in memory once loaded; `aliases` are its further names.

    Raises ConfigError for settings that mean nothing.
    """

    def __init__(self, settings: Settings, first: Located | None = None, aliases: Sequence[str] = ()) -> None:
        self._settings = settings
        self._offered: dict[str, Offer] = {}
        always = [offer(first, aliases)] if first is not None else []
        self._offers = Offers(settings, always)
        self._pool = Pool(
            self._open,
            Room(settings.models_memory * MIB),
            _keep_alive(settings),
            queue=settings.queue,
            check=settings.memory_check,
        )
        for each in always:
            self._pool.pin(self._key(each, each.kind))

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        found = await self._offers.named(name)
        if found.kind != "chat":
            raise Unsupported(f"{found.info.name} makes embeddings and writes no text. Name a model that does.")
        return PooledModel(self._pool, self._key(found, "chat"), found.info, keep_alive)

    @asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Embedder]:
        found = await self._embedding_offer(name)
        async with self._pool.lease(self._key(found, "embeddings"), keep_alive) as lease:
            yield lease.resident  # type: ignore[misc]

    async def list(self) -> Sequence[Standing]:
        return [self._standing(each, each.kind) for each in await self._offers.all()]

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        found = []
        for key, each in list(self._offered.items()):
            kind: Kind = "chat" if key == self._key(each, "chat") else "embeddings"
            if self._pool.place(key) is not None:
                model = PooledModel(self._pool, key, each.info) if kind == "chat" else None
                found.append((self._standing(each, kind), model))
        return found

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        found = await self._offers.named(name)
        async with self._pool.lease(self._key(found, found.kind), keep_alive):
            pass

    async def unload(self, name: str) -> None:
        found = await self._offers.named(name)
        await self._pool.unload(self._key(found, "chat"))
        await self._pool.unload(self._key(found, "embeddings"))

    def changed(self) -> None:
        self._offers.changed()

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _embedding_offer(self, name: str) -> Offer:
        """Without a name: the only one there is, what `_EMBED` means, or the default, which may write as well."""
        if name:
            return await self._offers.named(name)
        known = [each for each in await self._offers.all() if each.kind == "embeddings"]
        if len(known) == 1:
            return known[0]
        with suppress(ModelNotFound):
            return await self._offers.named(_EMBED)
        return await self._offers.named("")

    def _key(self, each: Offer, kind: Kind) -> str:
        """A file that both writes and embeds is two residents."""
        key = f"{kind}:{each.located.path}"
        self._offered[key] = each
        return key

    def _open(self, key: str, machine: Machine) -> Opened:
        kind: Kind = "embeddings" if key.startswith("embeddings:") else "chat"
        return opener(kind)(self._offered[key].located, self._settings, machine)

    def _standing(self, each: Offer, kind: Kind) -> Standing:
        key = f"{kind}:{each.located.path}"
        place = self._pool.place(key)
        waiting = self._pool.waiting(key)
        if place is None:
            return Standing(info=each.info, aliases=each.aliases, kind=kind, waiting=waiting, located=each.located)
        info = PooledModel(self._pool, key, each.info).info
        seat = place.seat()
        return Standing(
            info=info,
            aliases=each.aliases,
            kind=kind,
            state=_STATES[seat.state],
            memory_bytes=seat.size.memory,
            gpu_bytes=seat.size.gpu,
            expires_at=_expiry(place),
            pinned=seat.pinned,
            running=seat.running,
            waiting=waiting,
            located=each.located,
        )


def _keep_alive(settings: Settings) -> float:
    try:
        return keep_alive_seconds(settings.keep_alive) or 0.0
    except RequestError as error:
        raise ConfigError(str(error)) from None


def _expiry(place: Place) -> float | None:
    """In Unix seconds; as though its requests ended now."""
    if place.pinned or not place.is_ready or place.keep_alive_s == float("inf"):
        return None
    return time.time() + place.seconds_left
