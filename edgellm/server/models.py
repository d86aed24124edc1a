"""`Models`: which model answers to which name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgellm.errors import ModelNotFound
from edgellm.model import Model, ModelInfo


class Models(Protocol):
    """What the server asks about models; several may be served later."""

    def get(self, name: str) -> Model:
        """The model called `name`; "" is the default one. Raises ModelNotFound, which tells the names there are."""
        ...

    def list(self) -> Sequence[ModelInfo]: ...


class OneModel:
    """A single model, known by its own name and by `aliases`."""

    def __init__(self, model: Model, aliases: Sequence[str] = ()) -> None:
        self._model = model
        self._aliases = tuple(aliases)

    def get(self, name: str) -> Model:
        names = dict.fromkeys((self._model.info.name, *self._aliases))
        if name and name not in names:
            known = ", ".join(names)
            raise ModelNotFound(f"There is no model {name[:200]!r} here. Name one of these, or none at all: {known}.")
        return self._model

    def list(self) -> Sequence[ModelInfo]:
        return [self._model.info]
