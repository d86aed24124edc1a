"""Follows what a sequence copies from its own prompt and output, guesses how it goes on, and judges every guess.

Guessing costs nothing, so it is done at every token, drafted or not: whether copies go on here is learned before
anything is staked on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence as Seq
from dataclasses import dataclass

from edgellm.engine.speculative.acceptance import Acceptance
from edgellm.engine.speculative.edits import Edit, Edits
from edgellm.engine.speculative.mentions import Mentions, Piece
from edgellm.engine.speculative.ngram import ORDERS, SuffixIndex

_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64)
_SURENESS = (0, 1, 2, 4)
_PASSED = (0, 1, 3)
GROUPS = (len(_LENGTHS), len(_LENGTHS), len(_SURENESS), len(_PASSED))
"""Kinds of guesses: by length of the match where hits agree, the same where they do not, known changes, and words that
the request quotes, by how often they stayed."""

PRIORS = (
    *(0.2, 0.7, 0.8, 0.55, 0.6, 0.7, 0.8, 0.87, 0.92, 0.96, 0.975, 0.98, 0.985, 0.995),
    *(0.2, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5, 0.55, 0.65, 0.9, 0.95, 0.96, 0.98, 0.99),
    *(0.35, 0.75, 0.85, 0.9),
    *(0.5, 0.8, 0.9),
)
"""Part of each kind that came true in edits, copies, quotations, stories and poems by a model of 1.5B."""

_LIKELY, _NEAR = 2, 8
_SURE, _REACH = 3, 24
"""Tokens that must agree for a copy that broke off to go on, and those within which they are looked for, on both sides:
two make it likely, nearby, and three settle it."""

_SETTLED = 12
"""Tokens for which a copy that was found again must go on, or it is looked for elsewhere."""

_RESUMED = 12
"""A copy that resumed behind a change counts for a match of at most this length."""


@dataclass(slots=True)
class Cursor:
    """The next guess: `place` in the tokens, or, inside a change, `edit.new[inside]` with `place` behind `edit.old`."""

    place: int
    length: int
    edit: Edit | None = None
    inside: int = 0
    start: int = 0
    """Where the change began in the source."""


@dataclass(slots=True)
class _Break:
    """Where a copy left its source: at `source` there, at `output` here."""

    source: int
    output: int
    length: int


@dataclass(slots=True)
class _Resumption:
    """Where a copy was thought to go on, at `output`, and what was learned of that."""

    broken: _Break
    output: int
    edit: Edit | None


class CopyTrail:
    """One sequence's copying. `tokens` grows by others' hands; `advance` takes in what is new."""

    def __init__(self, tokens: Seq[int], acceptance: Acceptance, piece: Piece | None = None) -> None:
        self.own = acceptance.own()
        self._acceptance = acceptance
        self._tokens = tokens
        self._given = len(tokens)
        self._index = SuffixIndex(tokens)
        self._edits = Edits()
        self._mentions = Mentions(tokens, piece) if piece is not None else None
        self._read = False
        self._cursor: Cursor | None = None
        self._broken: _Break | None = None
        self._resumed: _Resumption | None = None
        self.run = 0
        """Guesses that came true one after the other, up to the last token."""
        self._look()

    def advance(self) -> None:
        """Judge the guess of each new token, and follow."""
        while self._index.size < len(self._tokens):
            at = self._index.size
            self._judge(self._tokens[at], at)
            self._index.take_one()
            if self._broken is not None:
                self._resume()
            if self._cursor is None or (self._cursor.edit is None and self._cursor.length < ORDERS[0]):
                self._look()

    def complete(self) -> None:
        """Do what `advance` left over: nothing is found sooner for it, but later it would have to be done then."""
        self._index.complete()

    @property
    def copies(self) -> bool:
        """Whether anything is guessed."""
        return self._cursor is not None

    @property
    def source_left(self) -> int:
        """Tokens of the text as it was in the beginning that a copy has still before it; 0 if nothing is copied."""
        return max(0, self._given - self._cursor.place) if self._cursor is not None else 0

    def guesses(self) -> Iterator[tuple[int, float]]:
        """The tokens expected next, each with the chance, seen with caution, that it comes true if all before it do;
        ends with the text.
        """
        if (cursor := self._cursor) is None:
            return
        ahead = Cursor(cursor.place, cursor.length, cursor.edit, cursor.inside, cursor.start)
        known: dict[int, float] = {}
        while self._settle(ahead):
            token, kind = self._next(ahead)
            chance = known.get(kind)
            if chance is None:
                chance = known[kind] = self._acceptance.chance(kind, self.own)
            yield token, chance
            self._follow(ahead)

    # -- judging ------------------------------------------------------------------------------------------------

    def _judge(self, token: int, at: int) -> None:
        cursor = self._cursor
        if cursor is None or not self._settle(cursor):
            self._cursor = None
            self.run = 0
            return
        expected, kind = self._next(cursor)
        hit = token == expected
        self._acceptance.observe(kind, hit, self.own)
        self.run = self.run + 1 if hit else 0
        edit = cursor.edit
        if hit:
            self._learn_words(cursor)
            self._follow(cursor)
            if edit is not None and cursor.edit is None:
                edit.hits += 1
            return
        if edit is not None:
            edit.misses += 1
            if cursor.inside == 0 and token == self._tokens[cursor.start]:
                # Not changed this time: the copy goes on.
                cursor.place, cursor.edit, cursor.length = cursor.start + 1, None, cursor.length + 1
                return
        place = cursor.place if edit is None else cursor.start
        if self._resumed is not None and at - self._resumed.output < _SETTLED:
            # It went on elsewhere: what looked alike was not the same passage.
            self._broken = self._resumed.broken
            if self._resumed.edit is not None:
                self._edits.forget(self._resumed.edit)
            self._resumed = self._cursor = None
        elif self._broken is None or cursor.length >= min(self._broken.length, _RESUMED):
            self._broken = _Break(place, at, cursor.length)
            # Most changes replace one token.
            self._cursor = Cursor(place + 1, 0)
        else:
            self._cursor = None

    def _learn_words(self, cursor: Cursor) -> None:
        if self._mentions is None or cursor.edit is not None:
            return
        if not self._read and self.run >= ORDERS[-1] and cursor.place < self._given:
            # Where the first copy began, the request itself has ended.
            self._read = True
            self._mentions.read(cursor.place - cursor.length)
        self._mentions.copied(cursor.place)

    def _settle(self, cursor: Cursor) -> bool:
        """Enter a change that begins at the cursor; False where the source has no more to give."""
        if cursor.edit is None:
            if cursor.place >= self._index.size:
                return False
            edit = self._edits.at(self._tokens, cursor.place)
            if edit is not None:
                cursor.start, cursor.edit, cursor.inside = cursor.place, edit, 0
                cursor.place += len(edit.old)
        if cursor.edit is not None and cursor.inside == len(cursor.edit.new):
            cursor.edit = None
        return cursor.edit is not None or cursor.place < self._index.size

    def _next(self, cursor: Cursor) -> tuple[int, int]:
        if cursor.edit is not None:
            sureness = cursor.edit.hits + cursor.inside
            kind = 2 * len(_LENGTHS) + bisect_right(_SURENESS, sureness) - 1
            return cursor.edit.new[cursor.inside], kind
        if self._mentions is not None and (passed := self._mentions.passed(cursor.place)) is not None:
            return self._tokens[cursor.place], sum(GROUPS[:3]) + bisect_right(_PASSED, passed) - 1
        kind = bisect_right(_LENGTHS, cursor.length) - 1
        if self._index.rival(cursor.place):
            kind += len(_LENGTHS)
        return self._tokens[cursor.place], kind

    def _follow(self, cursor: Cursor) -> None:
        cursor.length += 1
        if cursor.edit is None:
            cursor.place += 1
            return
        cursor.inside += 1
        if cursor.inside == len(cursor.edit.new):
            cursor.edit = None

    # -- finding ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The longest match of the last tokens; the latest of equals."""
        if not self._index.repeats:
            return
        best, longest = -1, self._cursor.length if self._cursor is not None else 0
        for place in self._index.places():
            length = self._index.agreement(place)
            if length > longest:
                best, longest = place, length
        if best >= 0:
            self._cursor = Cursor(best, longest)

    def _resume(self) -> None:
        """Find the broken copy again where its source and the output agree on a few tokens; learn what changed."""
        broken, end = self._broken, self._index.size
        assert broken is not None
        since = end - broken.output
        if self._cursor is not None and self._cursor.length >= ORDERS[0]:
            self._broken = None
            return
        if since >= _SURE and (place := self._aligned(broken, _SURE, _REACH)) is not None:
            changed = self._tokens[broken.output : end - _SURE]
            edit = self._edits.learn(self._tokens[broken.source : place], changed, self._tokens[place])
            self._cursor = Cursor(place + _SURE, max(ORDERS[-1], min(broken.length, _RESUMED)))
            self._resumed, self._broken = _Resumption(broken, end, edit), None
            return
        if _LIKELY <= since <= _NEAR and (place := self._aligned(broken, _LIKELY, _NEAR)) is not None:
            self._cursor = Cursor(place + _LIKELY, _LIKELY)
        if since > _REACH:
            self._broken = None

    def _aligned(self, broken: _Break, agreeing: int, reach: int) -> int | None:
        """The first place within `reach` of the break at which the source has the last `agreeing` tokens."""
        tokens, end = self._tokens, self._index.size
        last = tokens[end - agreeing : end]
        for place in range(broken.source, min(broken.source + reach, broken.output - agreeing) + 1):
            if tokens[place] == last[0] and tokens[place : place + agreeing] == last:
                return place
        return None
