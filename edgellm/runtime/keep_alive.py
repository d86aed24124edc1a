"""How long a model stays in memory after its last request, as Ollama's clients and settings write it."""

from __future__ import annotations

import math
import re

from edgellm.errors import RequestError

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")
_WHOLE = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")


def keep_alive_seconds(value: float | str | None) -> float | None:
    """Seconds from a number of them or from text such as "5m", "1h30m", "300" or "-1"; None for None.

    Anything below 0 is for ever (`math.inf`), 0 is not at all. Raises RequestError.
    """
    if value is None:
        return None
    seconds = float(value) if isinstance(value, int | float) else _parsed(value)
    if math.isnan(seconds):
        raise _problem(value)
    return math.inf if seconds < 0 else seconds


def _parsed(text: str) -> float:
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        seconds = sum(float(part[1]) * _UNITS_S[part[2]] for part in _PART.finditer(whole[2]))
        return -seconds if whole[1] == "-" else seconds
    try:
        return float(text)
    except ValueError:
        raise _problem(text) from None


def _problem(value: object) -> RequestError:
    shown = repr(value)[:50]
    return RequestError(
        f"keep_alive is {shown}, which is no length of time. Write seconds or text like '5m'; -1 is for ever, 0 not "
        "at all."
    )
