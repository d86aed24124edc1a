"""Runs the command in this process against a scripted model, in a home of its own."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgellm.cli import session
from edgellm.cli.main import main
from edgellm.config import Settings
from edgellm.model import Model
from tests.doubles.hub import HubDouble, only_hub


class Outcome:
    """What a command left: exit code, stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


class Stdin(io.TextIOWrapper):
    """Standard input that holds `data`, as a pipe does, or is a terminal."""

    def __init__(self, data: bytes, terminal: bool) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Command:
    """`command(arguments...)` runs edgellm; `opened` are the settings and names with which models were opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.opened: list[tuple[Settings, str]] = []

    def use(self, model: Model) -> None:
        def open_model(settings: Settings, name: str, **_: object) -> Model:
            self.opened.append((settings, name))
            return session.LoadingShown(model)

        self._monkeypatch.setattr(session, "open_model", open_model)

    def __call__(self, *arguments: str, stdin: bytes = b"", terminal: bool = False) -> Outcome:
        self._monkeypatch.setattr(sys, "stdin", Stdin(stdin, terminal))
        code = main(arguments)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`typed(line, ...)`: what `input` returns, one after the other; an exception is raised; then the input ends."""

    def type_in(*lines: str | type[BaseException]) -> None:
        left = iter(lines)

        def read(prompt: str = "") -> str:
            line = next(left, EOFError)
            if isinstance(line, str):
                return line
            raise line

        monkeypatch.setattr("builtins.input", read)

    return type_in


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """The only hub there is, with an empty cache; nobody is logged in."""
    with only_hub(home / "huggingface", monkeypatch) as double:
        yield double
