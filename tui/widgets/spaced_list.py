"""Rows to choose from, of one line or more, with an empty line between them that belongs to none."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class SpacedList(OptionList):
    """`chosen` and the selected option's `row` count the rows that were given."""

    def __init__(self, rows: Iterable[Content] = ()) -> None:
        super().__init__(*_spaced(rows), markup=False, compact=True)

    def show(self, rows: Iterable[Content]) -> None:
        """In place of the rows before, the first of them chosen."""
        self.clear_options()
        self.add_options(_spaced(rows))
        self.highlighted = 0 if self.options else None

    @property
    def chosen(self) -> int | None:
        return None if self.highlighted is None else row_of(self.get_option_at_index(self.highlighted))


def row_of(option: Option) -> int:
    return int(option.id or 0)


def _spaced(rows: Iterable[Content]) -> Iterable[Option]:
    for index, row in enumerate(rows):
        if index:
            yield Option("", disabled=True)
        yield Option(row, id=str(index))
