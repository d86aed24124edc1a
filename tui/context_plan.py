"""Plans what to leave out of a conversation that outgrew the context; pure: token counts are asked of the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tui.notices import Meter, Offer
from tui.store.records import Entry

Measure = Callable[[int], Awaitable[int]]

RESERVE = 1024
WINDOW_SHARE = 0.6  # of the context: a window that moves in long hops lets the computed prompt be reused in between


def reserve(limit: int, asked: int | None) -> int:
    """Tokens to keep free for the answer: what was asked for, else 1024, never more than a part of the context."""
    return min(asked, limit // 2) if asked else min(RESERVE, limit // 4)


def summary_length(limit: int) -> int:
    """The longest summary, in tokens."""
    return max(min(512, limit // 8), 32)


def cut_points(path: Sequence[Entry], after: int) -> list[int]:
    """Where a conversation can begin: questions of the user beyond the first `after` entries, the last one included."""
    return [index for index, entry in enumerate(path) if index > after and entry.speaker == "user"]


async def fewest(points: Sequence[int], measure: Measure, room: int) -> tuple[int, int] | None:
    """The first of the ascending `points` whose rest has at most `room` tokens, and how many it has.

    `measure(point)` counts exactly, and falls as points rise: few of them are tried.
    """
    low, high, best = 0, len(points), None
    while low < high:
        middle = (low + high) // 2
        used = await measure(points[middle])
        if used <= room:
            high, best = middle, (points[middle], used)
        else:
            low = middle + 1
    return best


async def offers(
    path: Sequence[Entry], meter: Meter, measure: Measure, measure_summary: Measure | None = None
) -> tuple[Offer, ...]:
    """What can be done, the mildest first; nothing if even the last question alone is too long.

    `measure_summary(point)` counts the prompt that would ask for a summary of what comes before `point`.
    """
    points = cut_points(path, meter.left_out)
    room = meter.limit - meter.reserve
    drop = await fewest(points, measure, room)
    if drop is None:
        return ()
    window = await fewest(points, measure, min(room, int(meter.limit * WINDOW_SHARE))) or drop
    found = [_offer("drop", path, *drop), _offer("window", path, *window)]
    length = summary_length(meter.limit)
    short = await fewest(points, measure, room - length)
    if short and measure_summary and await measure_summary(short[0]) + length <= meter.limit:
        found.append(_offer("summary", path, short[0], short[1] + length))
    return tuple(found)


def _offer(kind: str, path: Sequence[Entry], point: int, used: int) -> Offer:
    return Offer(kind=kind, left_out=point, used=used, first=path[point].id)  # type: ignore[arg-type]
