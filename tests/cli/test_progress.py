"""Progress: few lines where nobody redraws, a bar on a terminal, and silence about what is quick."""

from __future__ import annotations

import asyncio

import pytest

from edgellm.cli import progress
from edgellm.cli.progress import Meter, waiting


def test_plain_lines_are_one_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter(terminal=False) as meter:
        for done in range(1001):
            meter("downloading x", done * 1000, 1_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"downloading x: {tenth * 10}% of 1.0 MB" for tenth in range(11)]


def test_a_label_without_a_size_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter(terminal=False) as meter:
        for _ in range(5):
            meter("waiting for another download of x", 0, 0)
    assert capsys.readouterr().err == "waiting for another download of x\n"


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Meter(terminal=True) as meter:
        meter("downloading x", 500_000, 1_000_000)
        meter("downloading x", 1_000_000, 1_000_000)
    err = capsys.readouterr().err
    assert "downloading x" in err
    assert "1.0/1.0 MB" in err
    assert "\x1b[3" not in err, "NO_COLOR was ignored"


async def test_what_is_quick_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    async with waiting("loading x"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
async def test_what_takes_long_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "is_terminal", lambda: terminal)
    async with waiting("loading x"):
        await asyncio.sleep(0.05)
    err = capsys.readouterr().err
    assert "loading x" in err
    assert err.endswith("\r" if terminal else "...\n")


async def test_an_error_of_the_block_passes() -> None:
    with pytest.raises(ZeroDivisionError):
        async with waiting("loading x"):
            raise ZeroDivisionError
