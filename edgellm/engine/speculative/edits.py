"""Changes seen while a text was copied, to be guessed where the copy meets the same passage again."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

_LONGEST = 16


@dataclass(slots=True)
class Edit:
    """`old` became `new`; how often that was right and wrong since."""

    old: list[int]
    new: list[int]
    hits: int = 0
    misses: int = 0

    @property
    def sureness(self) -> int:
        return self.hits - 2 * self.misses


class Edits:
    """Of one sequence; for each first token of an old passage the latest change is remembered."""

    def __init__(self) -> None:
        self._by_first: dict[int, Edit] = {}

    def learn(self, old: Seq[int], new: Seq[int], following: int) -> Edit | None:
        """`old` (up to the token `following`, at which the copy went on) became `new`. What is new of that."""
        was, now = list(old), list(new)
        if not was or not now:
            was, now = [*was, following], [*now, following]
        if len(was) > _LONGEST or len(now) > _LONGEST:
            return None
        known = self._by_first.get(was[0])
        if known is not None and (known.old, known.new) == (was, now):
            return None
        edit = self._by_first[was[0]] = Edit(was, now)
        return edit

    def forget(self, edit: Edit) -> None:
        """It was none."""
        if self._by_first.get(edit.old[0]) is edit:
            del self._by_first[edit.old[0]]

    def at(self, tokens: Seq[int], place: int) -> Edit | None:
        """The change to expect where `place` in `tokens` is copied next."""
        edit = self._by_first.get(tokens[place])
        if edit is None or edit.sureness < 0 or tokens[place : place + len(edit.old)] != edit.old:
            return None
        return edit
