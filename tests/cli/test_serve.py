"""`edgellm serve`: the options reach the settings and the address the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgellm.cli import session
from edgellm.config import Settings
from edgellm.runtime.locate import Located
from edgellm.server import serve as server
from edgellm.server.pooled_models import PooledModels


@pytest.fixture
def served(command, monkeypatch: pytest.MonkeyPatch) -> list[Any]:  # type: ignore[no-untyped-def]
    calls: list[Any] = []

    def run(models: PooledModels, settings: Settings, view: Any, *, preload: bool = True) -> int:
        calls.append((models, settings, view, preload))
        return 130

    monkeypatch.setattr(server, "run", run)
    return calls


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, str]]:
    """The settings and names with which the one model was looked for."""
    asked: list[tuple[Settings, str]] = []

    def look(settings: Settings, name: str) -> Located:
        asked.append((settings, name))
        return Located(path=Path("/somewhere/model.gguf"), name="served")

    monkeypatch.setattr(session, "found", look)
    return asked


def test_without_a_model_each_is_loaded_when_it_is_asked_for(command, served, found) -> None:
    assert command("serve").code == 130
    ((models, settings, view, preload),) = served
    assert (settings.host, settings.port, settings.auth, preload) == ("127.0.0.1", 11435, "auto", False)
    assert view is server.announced  # stdout is no terminal here
    assert asyncio.run(models.list()) == [] and found == []


def test_options_win(command, served, found) -> None:
    command("serve", "-m", "x", "--host", "::1", "--port", "0", "--parallel", "4", "--queue", "9", "--no-prefix-cache")
    models, used, _, preload = served[0]
    assert (used.host, used.port, preload) == ("::1", 0, True)
    ((settings, name),) = found
    assert name == "x"
    assert (settings.parallel, settings.queue, settings.prefix_cache) == (4, 9, False)
    assert _names(models) == [("served", ("default", "x"))]


def test_a_path_does_not_become_a_name_that_clients_are_told(command, served, found) -> None:
    command("serve", "-m", "secret/place/model.gguf")
    assert _names(served[0][0]) == [("served", ("default",))]


def test_a_time_to_keep_models_that_is_none_is_refused(command, served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_KEEP_ALIVE", "soon")
    outcome = command("serve")
    assert outcome.code == 2 and "keep_alive is 'soon'" in outcome.err


def _names(models: PooledModels) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.info.name, each.aliases) for each in asyncio.run(models.list())]


def test_a_port_that_cannot_be_is_refused(command, served) -> None:
    outcome = command("serve", "--port", "70000")
    assert outcome.code == 2
    assert "--port is 70000" in outcome.err
    assert served == []
