"""Numbers as the chat shows them: tokens, bytes, speeds, times, ages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.notices import Meter, Stats

FULL, EMPTY = "━", "╌"


def tokens(count: int) -> str:
    """`412`, `3.1k`, `128k`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"


def size(count: float) -> str:
    """`12 MB`, `4.7 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def seconds(duration: float) -> str:
    """`4 ms`, `0.38 s`, `4.2 s`, `1:10 min`."""
    if duration >= 60:
        return f"{int(duration) // 60}:{int(duration) % 60:02} min"
    if duration < 0.1:
        return f"{duration * 1000:.0f} ms"
    return f"{duration:.2f} s" if duration < 1 else f"{duration:.1f} s"


def age(then: float, now: float | None = None) -> str:
    """How long ago, in four cells at most: `now`, `2m`, `1h`, `3d`, `5w`."""
    passed = max(0, int((time.time() if now is None else now) - then))
    for unit, length in (("w", 7 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60)):
        if passed >= length:
            return f"{passed // length}{unit}"
    return "now"


def bar(part: float, cells: int = 10) -> str:
    filled = min(cells, max(0, round(part * cells)))
    return FULL * filled + EMPTY * (cells - filled)


def meter(now: Meter, *, wide: bool) -> str:
    """`ctx ━━╌╌ 3.1k/8.2k`, and how many messages are not part of it."""
    part = now.used / now.limit if now.limit else 0.0
    left_out = f" (-{now.left_out})" if now.left_out else ""
    left_out = f", {now.left_out} left out" if now.left_out and wide else left_out
    figures = f"{tokens(now.used)}/{tokens(now.limit)}{left_out}"
    return f"ctx {bar(part)} {figures}" if wide else f"ctx {figures}"


def speed(stats: Stats) -> str:
    """`31.4 tok/s · first token 0.38 s · draft 71% · 212 tokens`, as far as it is known."""
    words = [
        f"{stats.per_s:.1f} tok/s" if stats.per_s else "",
        f"first token {seconds(stats.first_s)}" if stats.first_s is not None else "",
        f"draft {stats.acceptance:.0%}" if stats.acceptance is not None else "",
        f"{stats.tokens} token{'s' * (stats.tokens != 1)}" if stats.tokens else "",
    ]
    return " · ".join(word for word in words if word)
