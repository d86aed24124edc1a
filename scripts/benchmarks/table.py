"""The one table that every benchmark adds its rows to, as plain text."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from scripts.benchmarks.figures import Spread

_TITLES = ("measurement", "edgellm", "reference", "ratio", "min-max", "target", "met")
NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement in words; `met` is None where there is no target or it could not be judged."""

    name: str
    ours: str
    theirs: str = NOTHING
    ratio: Spread | None = None
    target: str = NOTHING
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        middle = f"{self.ratio.median:.2f}" if self.ratio else NOTHING
        ends = f"{self.ratio.low:.2f}-{self.ratio.high:.2f}" if self.ratio else NOTHING
        met = {True: "yes", False: "NO", None: NOTHING}[self.met]
        return (self.name, self.ours, self.theirs, middle, ends, self.target, met)


def render(rows: Seq[Row]) -> str:
    """Lines of equal columns under their titles."""
    lines = [_TITLES, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_TITLES))]
    lines.insert(1, tuple("-" * width for width in widths))
    padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def quantity(value: float | None, unit: str, digits: int = 1) -> str:
    """`12.3 ms`, or `n/a` where nothing was measured."""
    return "n/a" if value is None else f"{value:,.{digits}f} {unit}"
