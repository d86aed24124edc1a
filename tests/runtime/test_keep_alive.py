"""Lengths of time as Ollama's clients write them."""

from __future__ import annotations

import math

import pytest

from edgellm.errors import RequestError
from edgellm.runtime.keep_alive import keep_alive_seconds


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (None, None),
        (0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        (90, 90.0),
        (1.5, 1.5),
        ("300", 300.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        (" 2h ", 7200.0),
        ("1.5h", 5400.0),
        (-1, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
        (math.inf, math.inf),
    ],
)
def test_what_is_written_and_meant(written: float | str | None, seconds: float | None) -> None:
    found = keep_alive_seconds(written)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("written", ["", "soon", "5 m", "m5", "5m!", "1e", math.nan, "nan"])
def test_what_is_no_length_of_time_is_said(written: float | str) -> None:
    with pytest.raises(RequestError, match="keep_alive"):
        keep_alive_seconds(written)
