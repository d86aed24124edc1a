"""`Models`: which model answers to which name, and which of them are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from edgellm.errors import ModelNotFound, Unsupported
from edgellm.model import Model
from edgellm.runtime.hosted_names import hint
from edgellm.runtime.standing import Standing


class Models(Protocol):
    """What the server asks about models.

    Everywhere `keep_alive` is how many seconds the model stays in memory after its last request: 0 not at all,
    `math.inf` for ever, None as long as usual.
    """

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        """The model called `name`; "" is the default one. Costs next to nothing, and loads nothing.

        Its `info` is what is known without loading. `start`, `tokenize` and `stream` wait until it is in memory, and
        hold it there for as long as they run. Raises ModelNotFound, which tells the names there are.
        """
        ...

    def embedder(self, name: str, keep_alive: float | None = None) -> AbstractAsyncContextManager[Any]:
        """The `Embedder` called `name`, loaded, and in memory while the context is open.

        Entering raises ModelNotFound, LoadError, Unavailable, and Unsupported for a model that is none.
        """
        ...

    async def list(self) -> Sequence[Standing]:
        """All that can be asked for."""
        ...

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        """Those that are in memory or on their way in or out; the model is None where it does not generate."""
        ...

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        """Have it in memory. Raises ModelNotFound, LoadError, Unavailable."""
        ...

    async def unload(self, name: str) -> None:
        """Out of memory once its requests are done; returns then. Raises ModelNotFound."""
        ...

    def changed(self) -> None:
        """Which models there are has changed, and names may mean others."""
        ...

    async def aclose(self) -> None:
        """Unload everything, whatever runs."""
        ...


def plain_name(name: str) -> str:
    """A name without the tag ":latest", which Ollama's clients add."""
    return name.removesuffix(":latest")


async def standing_of(models: Models, name: str) -> Standing:
    """How it stands with the model called `name`, whatever it is for. Raises ModelNotFound."""
    listed = await models.list()
    wanted = plain_name(name).lower()
    for each in listed:
        if wanted in (each.info.name.lower(), *(alias.lower() for alias in each.aliases)):
            return each
    model = await models.get(name)
    found = next((each for each in listed if each.info.name == model.info.name), None)
    return found if found is not None else Standing(info=model.info)


class OneModel:
    """A single model that is always there, known by its own name and by `aliases`; `embedder` beside it if given."""

    def __init__(self, model: Model, aliases: Sequence[str] = (), embedder: Any = None) -> None:
        self._model = model
        self._aliases = tuple(aliases)
        self._embedder = embedder

    async def get(self, name: str, keep_alive: float | None = None) -> Model:
        names = dict.fromkeys((self._model.info.name, *self._aliases))
        if name and name not in names and plain_name(name) not in names:
            known = ", ".join(names)
            raise ModelNotFound(
                f"There is no model {name[:200]!r} here. Name one of these, or none at all: {known}.{hint(name)}"
            )
        return self._model

    @asynccontextmanager
    async def embedder(self, name: str, keep_alive: float | None = None) -> AsyncIterator[Any]:
        if self._embedder is None:
            raise Unsupported("The model here makes no embeddings. Serve one that does.")
        yield self._embedder

    async def list(self) -> Sequence[Standing]:
        return [Standing(info=self._model.info, aliases=self._aliases, state="loaded", pinned=True)]

    async def loaded(self) -> Sequence[tuple[Standing, Model | None]]:
        return [(standing, self._model) for standing in await self.list()]

    async def load(self, name: str, keep_alive: float | None = None) -> None:
        await (await self.get(name)).start()

    async def unload(self, name: str) -> None:
        await self.get(name)
        raise Unsupported("This server keeps its one model until it is stopped: keep_alive cannot unload it.")

    def changed(self) -> None:
        """It stays the one there is."""

    async def aclose(self) -> None:
        await self._model.aclose()
