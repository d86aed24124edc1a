"""A table of Markdown, laid out in the width there is: columns shrink from the widest on, cells wrap."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from textual.content import Content

from tui.widgets.document import NOTHING, Line

SPACE = "  "
NARROWEST = 4


class Table(msgspec.Struct, frozen=True, eq=False):
    """`aligned` holds "left", "right", "center" or "" for each column."""

    header: tuple[Content, ...]
    rows: tuple[tuple[Content, ...], ...]
    aligned: tuple[str, ...]
    gap: bool = True

    def lines(self, width: int) -> Sequence[Line]:
        widths = self._widths(width)
        rule = Content.styled(SPACE.join("─" * width for width in widths), "$foreground 25%")
        lines = [*self._row(tuple(cell.stylize_before("bold") for cell in self.header), widths), rule]
        for row in self.rows:
            lines += self._row(row, widths)
        return [Line(line) for line in lines]

    def _widths(self, width: int) -> list[int]:
        columns = [[self.header[index], *(row[index] for row in self.rows)] for index in range(len(self.header))]
        widths = [max(NARROWEST, *(cell.cell_length for cell in column)) for column in columns]
        left = width - len(SPACE) * (len(widths) - 1)
        while sum(widths) > left and max(widths) > NARROWEST:
            widths[widths.index(max(widths))] -= 1
        return widths

    def _row(self, cells: Sequence[Content], widths: Sequence[int]) -> list[Content]:
        wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
        height = max(len(cell) for cell in wrapped)
        return [
            Content(SPACE).join(
                self._placed(cell[row] if row < len(cell) else NOTHING, widths[column], column)
                for column, cell in enumerate(wrapped)
            )
            for row in range(height)
        ]

    def _placed(self, cell: Content, width: int, column: int) -> Content:
        left = width - cell.cell_length
        match self.aligned[column]:
            case "right":
                return cell.pad_left(left)
            case "center":
                return cell.pad_left(left // 2).pad_right(left - left // 2)
            case _:
                return cell.pad_right(left)


def _wrapped(cell: Content, width: int) -> list[Content]:
    return [line.rstrip() for line in cell.wrap(width)] if cell.plain else [NOTHING]
