"""`UpstreamModels`: the models of upstreams as the server's `Models`, beside those of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edgellm.catalog import catalog as catalogs
from edgellm.catalog.reference import UpstreamReference
from edgellm.catalog.upstream import Upstream
from edgellm.config import Settings
from edgellm.embedder import Embedder
from edgellm.errors import NotEnoughMemory, Unsupported
from edgellm.model import Model
from edgellm.runtime import upstreams
from edgellm.runtime.advised_model import AdvisedModel
from edgellm.runtime.standing import Standing
from edgellm.runtime.upstream_lookout import Lookout, Seen
from edgellm.runtime.upstream_model import UpstreamModel, opened, shown
from edgellm.server.models import Models, plain_name


class UpstreamModels:
    """`Models` around `inner`, which has everything that is no upstream's. `first`: `inner` has a default of its own.

    Connections to upstreams are kept. Listing them waits no longer than the settings say, and seldom that long.
    """

    def __init__(
        self, inner: Models, settings: Settings, *, first: bool = False, lookout: Lookout | None = None
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._first = first
        self._lookout = lookout or Lookout(settings)
        self._opened: dict[tuple[UpstreamReference, Upstream], UpstreamModel] = {}

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        if (reference := await self._meant(name)) is not None:
            return await self._open(reference)
        model = await self._inner.get(name, keep_alive)
        return AdvisedModel(model, self._settings, self._lookout) if catalogs.current().upstreams else model

    @asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Embedder]:
        if name and (reference := await self._meant(name)) is not None:
            raise Unsupported(f"{reference} is a model of an upstream: embeddings are made on this machine only.")
        async with self._inner.embedder(name, keep_alive) as embedder:
            yield embedder

    async def list(self) -> Sequence[Standing]:
        here, seen = await asyncio.gather(
            self._inner.list(), asyncio.to_thread(upstreams.seen, self._settings, self._lookout)
        )
        return [*here, *(standing for each in seen for standing in standings(each))]

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        return await self._inner.loaded()

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        reference = await self._meant(name)
        if reference is not None:
            await self._open(reference)
            return
        try:
            await self._inner.load(name, keep_alive)
        except NotEnoughMemory as error:
            raise await self._advised(name, error) from None

    async def unload(self, name: str) -> None:
        if (reference := await self._meant(name)) is not None:
            raise Unsupported(f"{reference} is in the memory of the upstream {reference.upstream}, not in this one's.")
        await self._inner.unload(name)

    def changed(self) -> None:
        self._inner.changed()

    async def aclose(self) -> None:
        models = list(self._opened.values())
        self._opened.clear()
        await asyncio.gather(self._inner.aclose(), *(model.aclose() for model in models))

    async def _advised(self, name: str, error: NotEnoughMemory) -> NotEnoughMemory:
        wanted = (await self._inner.get(name)).info.name
        return await asyncio.to_thread(upstreams.too_large, error, wanted, self._settings, self._lookout)

    async def _meant(self, name: str) -> UpstreamReference | None:
        wanted = plain_name(name.strip())
        if not wanted or wanted == "default":
            wanted = "" if self._first else self._settings.model
        return await asyncio.to_thread(upstreams.meant, wanted, self._settings, self._lookout) if wanted else None

    async def _open(self, reference: UpstreamReference) -> UpstreamModel:
        """Started, for only then it is known how it is sampled."""
        key = reference, catalogs.current().upstreams[reference.upstream]
        model = self._opened.get(key)
        if model is None:
            model = await asyncio.to_thread(opened, *key, self._settings)
            model = self._opened.setdefault(key, model)
        await model.start()
        return model


def standings(seen: Seen) -> list[Standing]:
    """The models of one upstream, as they stand."""
    return [
        Standing(
            info=shown(seen.upstream, each, seen.flavour),
            state="loaded" if seen.answers else "unloaded",
            upstream=seen.upstream.name,
            problem=seen.problem,
        )
        for each in seen.models
    ]
