"""The tiny model, and backends over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from tests import tiny_model

Load = Callable[..., LlamaCppBackend]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def load(tiny: Path) -> Iterator[Load]:
    """Load a model (the tiny one) with changed settings; all are closed in the end."""
    opened: list[LlamaCppBackend] = []

    def opener(path: Path = tiny, **settings: object) -> LlamaCppBackend:
        given = {"threads": 1, "context": 512, "slots": 8, "parallel": 8, "batch": 64} | settings
        opened.append(LlamaCppBackend.load(path, ModelSettings(**given)))  # type: ignore[arg-type]
        return opened[-1]

    yield opener
    for backend in opened:
        backend.close()


@pytest.fixture(scope="module")
def shared(load: Load) -> LlamaCppBackend:
    return load()


@pytest.fixture
def backend(shared: LlamaCppBackend) -> LlamaCppBackend:
    """An empty backend, loaded once for the whole file."""
    for slot in range(shared.limits.slots):
        shared.trim(slot, 0)
    return shared
