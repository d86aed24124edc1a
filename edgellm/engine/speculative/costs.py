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

_LOOKS = 2
"""Plain steps of several sequences, before it is known what they take: the lesser of two, for whatever disturbs a step
makes it longer."""

_RATIO_WEIGHT, _LARGEST_SURPRISE, _LARGEST_RATIO = 0.5, 0.5, 2.0
"""Of what a round of several took to what was expected of it: there are few while there are as many."""

_DEARER_WEIGHT, _MUCH_DEARER, _FORGOTTEN = 0.5, 2.0, 0.1
"""Of what one round took to what was expected of it, the most that counts, and what a plain step forgets of it."""

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
    steps; those of several are kept by themselves, for their contexts add up, kernels go by more than rows, and a GPU
    takes a step like the one before far faster than the first of its size. What they take is not known before some of
    them were seen: see `knows`.

    Rounds may be dearer than the points say for a reason that plain steps do not show: rows attend to a context, and
    that is longer than the calibration's. So what rounds of any size took lately is thought of all others as well.

    `change` is what plain steps take longer behind one of another number of rows: the library builds its graph anew,
    and for a GPU it does so twice. `scatter` is by how much of themselves plain steps differ from what was expected, in
    the mean, where nothing disturbed them.

    `together` is whether rows of several sequences cost what rows of one do; else each sequence costs as much as alone.
    """

    def __init__(self, *, together: bool = True) -> None:
        self._together = together
        self.host = 0.0
        self.drift = 0.0
        self._scatters = {False: 0.0, True: 0.0}
        """Of one sequence, and of several."""
        self._changes = [0.0, 0.0]
        """Of the first plain step after a change, and of the second."""
        self._dearer = {False: 1.0, True: 1.0}
        """Of one sequence, and of several: times as long as expected that rounds took lately, at least 1."""
        self.draft: float | None = None
        """Of one token of the draft model, where there is one and it was timed."""
        self._alone = Curve()
        self._steady: dict[int, float] = {}
        """Of plain steps of so many sequences together, more than one."""
        self._sequences = 1
        """In the last step."""
        self._ratios: dict[int, float] = {}
        """By rows, what rounds of so many took, as part of what was expected of them; forgotten where there are more or
        fewer, for it holds no longer than what is known of their plain steps."""
        self._owed = 0
        """Plain steps that must be seen before it is known what they take for so many."""
        self._last_rows = 0
        self._alike = 0
        """Steps of so many rows before the last."""
        self._behind_step = False
        """Whether the first of those came behind another step of decodes."""

    @property
    def change(self) -> float:
        """Milliseconds."""
        return sum(self._changes)

    @property
    def ready(self) -> bool:
        """A plain step and one of several rows are known: speculation can be judged."""
        return len(self.points) > 1 and self.points[0] == 1

    @property
    def settled(self) -> bool:
        """Whether the last step came behind others of as many rows, so that it tells what such steps take."""
        return self._alike >= len(self._changes)

    def scatter(self, sequences: int = 1) -> float:
        return self._scatters[sequences > 1]

    def knows(self, sequences: int) -> bool:
        """Whether it is known what a plain step of so many takes: for several not before some were seen, one after the
        other, since there were more or fewer of them.
        """
        return not self._together or (sequences == self._sequences and not self._owed)

    @property
    def points(self) -> list[int]:
        """Rows whose cost was measured, rising."""
        return self._alone.points

    def adopt(self, milliseconds: Mapping[int, float]) -> None:
        """Take measured points over. Of a point known before the lesser time stays, for whatever disturbs a measurement
        makes it longer; plain steps will tell where the whole machine has become slower.

        A point dearer than one of more rows, by more than kernels explain, was disturbed when it was measured.
        """
        known = self._alone.times
        times = {rows: min(ms, known.get(rows, ms)) for rows, ms in milliseconds.items() if rows >= 1 and ms > 0}
        times = known | times
        least = inf
        for rows in sorted(times, reverse=True):
            times[rows] = min(times[rows], _KINK * least)
            least = min(least, times[rows])
        self._alone = Curve(times)
        self._ratios.clear()
        self._steady.clear()
        self._dearer = {False: 1.0, True: 1.0}
        self._sequences, self._owed = 1, 0
        self.drift = 0.0

    def known(self) -> dict[int, float]:
        """Milliseconds by rows as things stand."""
        return {rows: self.at(rows) for rows in self.points}

    def at(self, rows: int, sequences: int = 1) -> float:
        """Milliseconds of a decode of `rows` rows of so many sequences; needs at least one point."""
        if rows == sequences in self._steady:
            return self._steady[sequences]
        whole = self._by_points(rows, sequences)
        if rows > sequences:
            seen = self._ratios.get(rows) if sequences == self._sequences else None
            whole *= seen or self._dearer[sequences > 1]
        return max(whole, self._steady.get(sequences, self.at(1))) if sequences > 1 else whole

    def _by_points(self, rows: int, sequences: int) -> float:
        """As `at`, whatever rounds took lately."""
        return self._plain(rows, sequences) * (1 + self.drift) + rows * self._excess(sequences)

    def _excess(self, sequences: int) -> float:
        """What a row of plain steps of so many is seen to take longer than the points say: it attends to its context,
        as guesses do.
        """
        steady = self._steady.get(sequences)
        if steady is None:
            return 0.0
        return max(0.0, steady - self._plain(sequences, sequences) * (1 + self.drift)) / sequences

    def _plain(self, rows: int, sequences: int) -> float:
        if self._together or sequences <= 1:
            return self._alone.at(rows)
        return sequences * self._alone.at(rows / sequences)

    def observe(self, rows: int, milliseconds: float, *, plain: bool, sequences: int = 1) -> None:
        """A decode of `rows` rows of so many sequences took so long; `plain` if none of them was a draft.

        Plain steps of one sequence move the whole curve, others their own point. The first ones after another number of
        rows tell only what that costs, and nothing at all where sequences came or went: a library may tidy up behind
        them.
        """
        self._follow(rows, sequences)
        if not self.points or milliseconds <= 0:
            return
        before = self.at(rows, sequences)
        if plain and not self.settled:
            if self.knows(sequences) and (sequences == 1 or self._behind_step):
                self._observe_change(milliseconds - before, _LARGEST_CHANGE * before)
            return
        if plain:
            self._observe_plain(sequences, milliseconds, before, _innovation(milliseconds, before))
        elif self._together or sequences == 1:  # else rows that are shared out unevenly tell nothing of any number
            expected = self._by_points(rows, sequences) if rows > sequences else before
            if rows > sequences > 1:
                self._observe_round_of_several(rows, milliseconds / before)
            elif self._alike:
                self._observe_round(rows, sequences, expected * _WEIGHT * _innovation(milliseconds, expected))
            if rows > sequences:
                self._observe_dearer(sequences > 1, milliseconds / expected)

    def _follow(self, rows: int, sequences: int) -> None:
        """Whether steps go on alike, and whether of as many sequences."""
        if rows == self._last_rows:
            self._alike += 1
        else:
            self._alike, self._behind_step = 0, self._last_rows > 0
        self._last_rows = rows
        if sequences != self._sequences:
            self._sequences, self._owed = sequences, _LOOKS if sequences > 1 else 1
            self._ratios.clear()

    def _observe_plain(self, sequences: int, milliseconds: float, before: float, innovation: float) -> None:
        change = before * _WEIGHT * innovation
        several = sequences > 1
        if several and not self._together:
            self.drift = max(self.drift + change / self._plain(sequences, sequences), -_FASTEST)
            return
        if self._owed:
            self._owed -= 1
            if several:
                first = self._owed == _LOOKS - 1
                self._steady[sequences] = milliseconds if first else min(milliseconds, before)
                return
        if several:
            self._steady[sequences] = before + change
        else:
            self.drift = max(self.drift + change / self._alone.at(1), -_FASTEST)
        self._scatters[several] += _SCATTER_WEIGHT * (abs(innovation) - self._scatters[several])
        self._dearer[several] += _FORGOTTEN * (1.0 - self._dearer[several])

    def _observe_round(self, rows: int, sequences: int, change: float) -> None:
        if sequences == 1:
            moved = self._alone.at(rows) + change / (1 + self.drift)
            self._alone.set(rows, max(moved, _LEAST * self._alone.at(1)))
        else:  # a draft model's
            self._steady[sequences] = self.at(sequences, sequences) + change

    def _observe_round_of_several(self, rows: int, part: float) -> None:
        """One took this part of what was expected. The first of its size counts: most of them come one at a time."""
        surprise = max(-_LARGEST_SURPRISE, min(_LARGEST_SURPRISE, part - 1.0))
        ratio = self._ratios.get(rows, 1.0) * (1 + _RATIO_WEIGHT * surprise)
        self._ratios[rows] = max(1 / _LARGEST_RATIO, min(_LARGEST_RATIO, ratio))

    def _observe_dearer(self, several: bool, part: float) -> None:
        known = self._dearer[several]
        self._dearer[several] = max(1.0, known + _DEARER_WEIGHT * (min(_MUCH_DEARER, part) - known))

    def _observe_change(self, extra: float, most: float) -> None:
        known = self._changes[self._alike]
        self._changes[self._alike] = max(0.0, known + _WEIGHT * max(-most, min(most, extra - known)))

    def interrupted(self) -> None:
        """Something else was computed in between: the next step comes after a change."""
        self._last_rows = 0

    def observe_host(self, milliseconds: float, tokens: int) -> None:
        """A step's work outside the backend took so long for the `tokens` that came out of it."""
        if tokens > 0:
            self.host += (_HOST_WEIGHT if self.host else 1.0) * (milliseconds / tokens - self.host)

    def observe_draft(self, milliseconds: float, tokens: int) -> None:
        """The draft model took so long for `tokens` of one sequence, one after the other."""
        if tokens > 0:
            each = milliseconds / tokens
            self.draft = each if self.draft is None else self.draft + _WEIGHT * (each - self.draft)


def _innovation(took: float, expected: float) -> float:
    return max(-_LARGEST_INNOVATION, min(_LARGEST_INNOVATION, took / expected - 1.0))


class Curve:
    """Milliseconds by rows: points, the straight line in between, and beyond the last its own cost a row."""

    def __init__(self, times: Mapping[int, float] | None = None) -> None:
        self.times = dict(times or {})
        self.points = sorted(self.times)
        """Rows, rising."""

    def set(self, rows: int, milliseconds: float) -> None:
        self.times[rows] = milliseconds
        self.points = sorted(self.times)

    def at(self, rows: float) -> float:
        """Needs at least one point."""
        found = self.times.get(int(rows)) if rows == int(rows) else None
        if found is not None:
            return found
        place = bisect_left(self.points, rows)
        if place == 0:
            return self.times[self.points[0]]
        below = self.points[place - 1]
        if place == len(self.points):
            return self.times[below] * rows / below
        above = self.points[place]
        share = (rows - below) / (above - below)
        return self.times[below] + share * (self.times[above] - self.times[below])
