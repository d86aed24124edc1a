"""Where tests find real models: `path(name)` skips the test when the model was not fetched."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from edgellm.catalog import catalog
from edgellm.download.store import Store


def directory() -> Path:
    """The cache that scripts/test_models.py fills."""
    chosen = os.environ.get("EDGELLM_TEST_MODELS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("edgellm", appauthor=False) / "test-models"


def path(name: str) -> Path:
    """The file of the test model `name`; skips the calling test when it is not there."""
    store = Store(directory())
    entry = catalog.load(Path(__file__).with_name("models.toml")).entries[name]
    if not store.is_present(entry):
        pytest.skip(f"needs a model: python scripts/test_models.py {name}")
    return store.path(entry)


def folder(name: str) -> Path:
    """The test model `name` that is a folder; skips the calling test when nobody has made it."""
    found = directory() / name
    if not found.is_dir():
        pytest.skip("needs a model: python scripts/make_folders.py")
    return found
