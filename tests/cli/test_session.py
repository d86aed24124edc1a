"""Opening a model for a command: what people are told on stderr before it loads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgellm.cli import session
from edgellm.config import Settings
from edgellm.model import ModelInfo
from edgellm.runtime import assemble
from edgellm.runtime.assemble import Assembled
from edgellm.runtime.explanation import Explanation
from tests.doubles.echo_model import EchoModel


def test_why_a_model_was_taken_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = EchoModel()
    monkeypatch.setattr(model, "_info", ModelInfo(name="echo", notes=("code is echo here: it is all there is.",)))
    monkeypatch.setattr(assemble, "open_named", lambda *_: SimpleNamespace(model=model))
    assert session.open_model(Settings(), "code").info.name == "echo"
    assert capsys.readouterr() == ("", "code is echo here: it is all there is.\n")


def test_why_a_model_is_loaded_so_is_told_where_somebody_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    why = Explanation(model="echo: named", backend="none: " + "words " * 30, quantization="q", threads="1", plan=("x",))
    monkeypatch.setattr(assemble, "open_named", lambda *_: Assembled(EchoModel(), None, None, why))  # type: ignore[arg-type]
    session.open_model(Settings(), "echo", explain=True)
    shown = capsys.readouterr().err.splitlines()
    assert (shown[0], shown[-1]) == ("model         echo: named.", "              x.")
    assert max(map(len, shown)) <= 100
