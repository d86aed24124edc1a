"""`edgellm serve`: the options reach the settings and the address the server."""

from __future__ import annotations

from typing import Any

import pytest

from edgellm.server import serve as server
from tests.doubles.scripted_model import ScriptedModel


@pytest.fixture
def served(command, monkeypatch: pytest.MonkeyPatch) -> list[Any]:  # type: ignore[no-untyped-def]
    calls: list[Any] = []

    def run(model: Any, host: str, port: int, aliases: tuple[str, ...]) -> int:
        calls.append((model, host, port, aliases))
        return 130

    monkeypatch.setattr(server, "run", run)
    command.use(ScriptedModel([[]], name="served"))
    return calls


def test_the_address_is_the_configured_one(command, served) -> None:
    assert command("serve").code == 130
    ((model, host, port, aliases),) = served
    assert (model.info.name, host, port) == ("served", "127.0.0.1", 11435)
    assert set(aliases) == {"default"}


def test_options_win(command, served) -> None:
    command("serve", "-m", "x", "--host", "::1", "--port", "0", "--parallel", "4", "--queue", "9", "--no-prefix-cache")
    assert served[0][1:] == ("::1", 0, ("default", "x"))
    ((settings, name),) = command.opened
    assert name == "x"
    assert (settings.parallel, settings.queue, settings.prefix_cache) == (4, 9, False)


def test_a_path_does_not_become_a_name_that_clients_are_told(command, served) -> None:
    command("serve", "-m", "secret/place/model.gguf")
    assert served[0][3] == ("default",)


def test_a_port_that_cannot_be_is_refused(command, served) -> None:
    outcome = command("serve", "--port", "70000")
    assert outcome.code == 2
    assert "--port is 70000" in outcome.err
    assert served == []
