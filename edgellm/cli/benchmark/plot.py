"""Numbers as bars and columns of text, at most as wide as asked; plain ASCII where the output can show no blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence as Seq

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(value: float, most: float, width: int, *, blocks: bool = True) -> str:
    """`value` as a part of `most`, drawn in at most `width` characters; something is drawn of anything above 0."""
    assert width > 0
    if most <= 0 or value <= 0:
        return ""
    eighths = max(1, round(min(1.0, value / most) * width * 8))
    if not blocks:
        return "#" * max(1, round(eighths / 8))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def table(head: Seq[str], rows: Iterable[Seq[str]], *, left: int = 1) -> list[str]:
    """Lines of a table: the first `left` columns lean left, the others right; a last one with no name holds bars."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    bars = {column for column, name in enumerate(head) if not name}
    return ["  ".join(_cells(line, widths, left, bars)).rstrip() for line in lines]


def _cells(line: Seq[str], widths: Seq[int], left: int, bars: set[int]) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.ljust(width) if column < left or column in bars else cell.rjust(width)


def can_show_blocks(encoding: str | None) -> bool:
    """Whether an output of this encoding can show block characters."""
    try:
        _EIGHTHS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
