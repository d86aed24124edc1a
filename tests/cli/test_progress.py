"""Progress: few lines where nobody redraws, a bar on a terminal, and silence about what is quick."""

from __future__ import annotations

import asyncio
import re

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


def test_a_bar_fits_eighty_columns_and_keeps_the_end_of_a_long_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with Meter(terminal=True) as meter:
        meter("downloading somebody/A-Model-With-Quite-A-Long-Name-GGUF:Q4_K_M", 7_000_000_000, 123_400_000_000)
        meter("trying again in 5 s: somebody gets too many requests from here, " + "and so on " * 10, 0, 0)
        meter("downloading somebody/A-Model-With-Quite-A-Long-Name-GGUF:Q4_K_M", 123_400_000_000, 123_400_000_000)
    err = capsys.readouterr().err
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", err)]
    (line,) = [line for line in lines if line.strip()]
    assert len(line) <= 80
    assert line.startswith("downloading …")
    assert ":Q4_K_M " in line and "123.40/123.40 GB" in line
    assert "trying again" not in line


def test_a_note_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter(terminal=True) as meter:
        meter("note: whether it is the newest is not known", 0, 0)
        meter("downloading x", 1, 2)
    assert "note: whether it is the newest is not known" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "shown"), [(None, ""), (5.9, "0:05"), (65, "1:05"), (3725, "1:02:05")])
def test_time_left(seconds: float | None, shown: str) -> None:
    assert progress._clock(seconds) == shown


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
