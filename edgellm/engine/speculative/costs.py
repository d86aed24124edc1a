"""What a step costs by the rows it computes: measured points, kept jagged, and kept true by the steps that follow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import inf

_WEIGHT = 0.3
"""Of one innovation, as part of what is known."""

_LARGEST_INNOVATION = 0.25
_LARGEST_CHANGE = 0.5
"""Of a plain step, as far as one observation of a change counts."""

_SCATTER_WEIGHT = 0.05

_HOST_WEIGHT = 0.05

_LEAST = 0.8
"""Of a plain step, for a step of any size."""

_FASTEST = 0.8
"""Of a plain step, as the most that it can have become cheaper by."""

_KINK = 1.2
"""As much as fewer rows were seen to cost more than many, where another kernel takes over."""


class StepTimes:
    """Milliseconds of a decode by its rows, `c_v(n)`, and of the host's work for a token that comes out of it.

    Between measured points the straight line stands in, and beyond the last its own cost a row; a curve has steps where
    kernels change, so those who choose a number of rows choose among `points`. Nothing is known until `adopt`.

    Plain steps tell how things stand since the points were measured: `drift` is the part by which steps have become
    dearer (with context, which every row attends to, and with heat), below 0 if cheaper. It is that of one sequence's
    steps; those of several are kept by themselves, for their contexts add up, and a GPU takes a step like the one
    before far faster than the first of its size.

    `change` is what plain steps take longer behind one of another number of rows: the library builds its graph anew,
    and for a GPU it does so twice. `scatter` is by how much of themselves plain steps differ from what was expected, in
    the mean: those of one sequence that nothing disturbed.

    `together` is whether rows of several sequences cost what rows of one do; else each sequence costs as much as alone.
    """

    def __init__(self, *, together: bool = True) -> None:
        self._together = together
        self.host = 0.0
        self.drift = 0.0
        self.scatter = 0.0
        self._changes = [0.0, 0.0]
        """Of the first plain step after a change, and of the second."""
        self.draft: float | None = None
        """Of one token of the draft model, where there is one and it was timed."""
        self._times: dict[int, float] = {}
        self._points: list[int] = []
        self._steady: dict[int, float] = {}
        """Of plain steps of so many sequences together, more than one."""
        self._last_rows = 0
        self._alike = 0
        """Steps of so many rows before the last."""

    @property
    def change(self) -> float:
        """Milliseconds."""
        return sum(self._changes)

    @property
    def ready(self) -> bool:
        """A plain step and one of several rows are known: speculation can be judged."""
        return len(self._points) > 1 and self._points[0] == 1

    @property
    def settled(self) -> bool:
        """Whether the last step came behind others of as many rows, so that it tells what such steps take."""
        return self._alike >= len(self._changes)

    @property
    def points(self) -> list[int]:
        """Rows whose cost was measured, rising."""
        return self._points

    def adopt(self, milliseconds: Mapping[int, float]) -> None:
        """Take measured points over. Those known before stay where fewer were measured this time.

        A point dearer than one of more rows, by more than kernels explain, was disturbed when it was measured.
        """
        times = {rows: ms for rows, ms in milliseconds.items() if rows >= 1 and ms > 0}
        if len(times) < len(self._times):
            times = self._times | times
        least = inf
        for rows in sorted(times, reverse=True):
            times[rows] = min(times[rows], _KINK * least)
            least = min(least, times[rows])
        self._times, self._points = times, sorted(times)
        self._steady.clear()
        self.drift = 0.0

    def known(self) -> dict[int, float]:
        """Milliseconds by rows as things stand."""
        return {rows: self.at(rows) for rows in self._points}

    def at(self, rows: int, sequences: int = 1) -> float:
        """Milliseconds of a decode of `rows` rows of so many sequences; needs at least one point."""
        known = self._times.get(rows) if sequences == 1 else None
        if known is not None:
            return known * (1 + self.drift)
        if rows == sequences in self._steady:
            return self._steady[sequences]
        return self._plain(rows, sequences) * (1 + self.drift) + self._excess(sequences)

    def _excess(self, sequences: int) -> float:
        """What plain steps of so many are seen to take longer than the points say: larger ones will not take less."""
        steady = self._steady.get(sequences)
        if steady is None:
            return 0.0
        return max(0.0, steady - self._plain(sequences, sequences) * (1 + self.drift))

    def _plain(self, rows: int, sequences: int) -> float:
        if self._together or sequences <= 1:
            return self._measured(rows)
        return sequences * self._measured(rows / sequences)

    def observe(self, rows: int, milliseconds: float, *, plain: bool, sequences: int = 1) -> None:
        """A decode of `rows` rows of so many sequences took so long; `plain` if none of them was a draft.

        Plain steps of one sequence move the whole curve, others their own point. The first ones after another number of
        rows tell only what that costs.
        """
        self._alike = self._alike + 1 if rows == self._last_rows else 0
        self._last_rows = rows
        if not self._points or milliseconds <= 0:
            return
        before = self.at(rows, sequences)
        if plain and self._alike < len(self._changes):
            self._observe_change(milliseconds - before, _LARGEST_CHANGE * before)
            return
        if self._alike == 0:
            return
        change = before * _WEIGHT * max(-_LARGEST_INNOVATION, min(_LARGEST_INNOVATION, milliseconds / before - 1.0))
        if not self._together and sequences > 1:
            if plain:  # rows that are shared out unevenly tell nothing of any number of them
                self.drift = max(self.drift + change / self._plain(rows, sequences), -_FASTEST)
            return
        if plain and sequences > 1:
            self._steady[sequences] = before + change
            return
        if not plain:
            moved = self._measured(rows) + change / (1 + self.drift)
            self._times[rows] = max(moved, _LEAST * self._times[self._points[0]])
            self._points = sorted(self._times)
            return
        self.drift = max(self.drift + change / self._measured(rows), -_FASTEST)
        self.scatter += _SCATTER_WEIGHT * (abs(change) / (_WEIGHT * before) - self.scatter)

    def _observe_change(self, extra: float, most: float) -> None:
        known = self._changes[self._alike]
        self._changes[self._alike] = max(0.0, known + _WEIGHT * max(-most, min(most, extra - known)))

    def interrupted(self) -> None:
        """Something else was computed in between: the next step comes after a change."""
        self._last_rows = 0

    def _measured(self, rows: float) -> float:
        found = self._times.get(int(rows)) if rows == int(rows) else None
        if found is not None:
            return found
        place = bisect_left(self._points, rows)
        if place == 0:
            return self._times[self._points[0]]
        below = self._points[place - 1]
        if place == len(self._points):
            return self._times[below] * rows / below
        above = self._points[place]
        share = (rows - below) / (above - below)
        return self._times[below] + share * (self._times[above] - self._times[below])

    def observe_host(self, milliseconds: float, tokens: int) -> None:
        """A step's work outside the backend took so long for the `tokens` that came out of it."""
        if tokens > 0:
            self.host += (_HOST_WEIGHT if self.host else 1.0) * (milliseconds / tokens - self.host)

    def observe_draft(self, milliseconds: float, tokens: int) -> None:
        """The draft model took so long for `tokens` of one sequence, one after the other."""
        if tokens > 0:
            each = milliseconds / tokens
            self.draft = each if self.draft is None else self.draft + _WEIGHT * (each - self.draft)
