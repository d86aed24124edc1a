"""The model of a chat as what a server asks about: one model, which may become another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edgellm.embedder import Embedder
from edgellm.model import Model
from edgellm.runtime.standing import Standing
from edgellm.server.models import OneModel


class SharedModel:
    """`edgellm.server.models.Models` of the model that was last given to `use`; closing it closes no model."""

    def __init__(self) -> None:
        self._one: OneModel | None = None

    def use(self, model: Model) -> None:
        self._one = OneModel(model, aliases=("default",))

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        return await self._now.get(name, keep_alive)

    @asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Embedder]:
        async with self._now.embedder(name, keep_alive) as embedder:
            yield embedder

    async def list(self) -> Sequence[Standing]:
        return await self._now.list()

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        return await self._now.loaded()

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        await self._now.load(name, keep_alive)

    async def unload(self, name: str) -> None:
        await self._now.unload(name)

    def changed(self) -> None:
        """It stays the one that was given."""

    async def aclose(self) -> None:
        """The model is the chat's: it stays."""

    @property
    def _now(self) -> OneModel:
        assert self._one is not None, "a model is given before the server starts"
        return self._one
