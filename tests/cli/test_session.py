"""Opening a model for a command: what people are told on stderr before it loads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgellm.cli import session
from edgellm.config import Settings
from edgellm.model import ModelInfo
from edgellm.runtime import assemble
from tests.doubles.echo_model import EchoModel


def test_why_a_model_was_taken_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = EchoModel()
    monkeypatch.setattr(model, "_info", ModelInfo(name="echo", notes=("code is echo here: it is all there is.",)))
    monkeypatch.setattr(assemble, "open_named", lambda *_: SimpleNamespace(model=model))
    assert session.open_model(Settings(), "code").info.name == "echo"
    assert capsys.readouterr() == ("", "code is echo here: it is all there is.\n")
