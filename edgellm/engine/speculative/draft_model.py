"""A second, smaller model that guesses ahead: greedy drafts for several sequences at once, its KV in step with theirs.

It computes a sequence's tokens only when asked to draft for it, and keeps what was accepted of its drafts: the next
draft begins by comparing what it holds with what the sequence has become. Its slots and cells are its own; whoever was
not asked for longest gives them up first. A failure of its backend costs drafts, never a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence as Seq
from dataclasses import dataclass, field

from edgellm.backends.base import Backend, Vocabulary
from edgellm.backends.batch import Batch, Chunk, Rows
from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.prefix_cache import PrefixCache
from edgellm.engine.ranking import mass
from edgellm.errors import BackendError
from edgellm.telemetry import log

GoOn = Callable[[int, "Draft"], bool]
"""Asked after each drafted token, with the sequence's id and its draft so far: is one more worth its time?"""

IN_STEP = 8
"""Tokens that a sequence may lack and still have them computed in the step that drafts its first token."""

_FAILURES = 3
"""Backend failures in a row after which nothing is drafted any more."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Draft at most `most` tokens to follow `tokens`: everything the sequence `id` holds, prompt and answer."""

    id: int
    tokens: Seq[int]
    most: int


@dataclass(slots=True)
class Draft:
    """Tokens, and for each the probability the drafter itself gave it."""

    tokens: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DraftStep:
    """One decode of the drafter: `tokens` computed for `sequences`, `drafted` of them new; all its time in seconds."""

    tokens: int
    sequences: int
    drafted: int
    seconds: float


@dataclass(slots=True)
class DraftRound:
    """Drafts by sequence id (none for who could not be served), and what each decode took; charge the sum."""

    drafts: dict[int, Draft] = field(default_factory=dict)
    steps: list[DraftStep] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


@dataclass(eq=False, slots=True)
class _Stream:
    """What the drafter holds of one sequence: its first `held` tokens, then `tail`, drafted and not yet judged."""

    id: int
    slot: int
    tokens: Seq[int]
    held: int
    tail: list[int] = field(default_factory=list)
    used: int = 0

    @property
    def lag(self) -> int:
        return len(self.tokens) - self.held


class DraftModel:
    """Drafts with `backend`, which must be able to trim; used by the engine's thread alone.

    `size` is the number of tokens the target has: no other id is ever drafted. Whoever measures what the backend's
    steps take, in milliseconds by rows, tells `timed`.
    """

    def __init__(self, backend: Backend, size: int, *, clock: Callable[[], float], prefix_cache: bool = True) -> None:
        can, limits = backend.capabilities, backend.limits
        assert can.trim, "a drafter that cannot go back is refused when it is loaded"
        self.backend = backend
        self.failure: str | None = None
        self.timed: Callable[[Mapping[int, float]], None] = lambda milliseconds: None
        self.cache = PrefixCache(backend, cells=limits.cells, slots=limits.slots, shares=can.copy, enabled=prefix_cache)
        self._size = size
        self._known = len(backend.vocabulary)
        self._ends = backend.vocabulary.end_tokens
        self._longest = min(backend.info.context_length or limits.cells, limits.cells)
        self._in_step = min(IN_STEP, limits.batch)
        self._clock = clock
        self._streams: dict[int, _Stream] = {}
        self._rounds = 0
        self._failures = 0

    def lag(self, id: int, tokens: Seq[int]) -> int | None:
        """Tokens to compute before the first one can be drafted for this sequence (1 when in step); None: it cannot."""
        if self.failure is not None or len(tokens) >= self._longest:
            return None
        if (stream := self._streams.get(id)) is not None:
            return len(tokens) - _agreed(stream, tokens)
        return len(tokens) - self.cache.match(tokens, len(tokens) - 1).length

    def draft(self, asks: Iterable[Ask], go_on: GoOn, *, prefill: int | None = None) -> DraftRound:
        """Draft for every sequence asked for, together; ids at most once.

        At most `prefill` tokens (default: one step's worth) are computed for sequences that lack more than a few; who
        still lacks some then has no draft, and is nearer to one the next time. Ends of text are drafted, nothing
        behind them.
        """
        self._rounds += 1
        round, asked = DraftRound(), [ask for ask in asks if ask.most > 0 and self.lag(ask.id, ask.tokens) is not None]
        most = {ask.id: min(ask.most, self._longest - len(ask.tokens)) for ask in asked}
        streams = self._opened(asked)
        ready = list(self._caught_up(streams, self.backend.limits.batch if prefill is None else prefill, round))
        while ready:
            advanced = self._advance(ready, round)
            ready = [s for s in advanced if self._wants_more(s, round, most[s.id]) and go_on(s.id, round.drafts[s.id])]
        round.drafts = {id: draft for id, draft in round.drafts.items() if draft.tokens}
        return round

    def release(self, id: int) -> None:
        """The sequence ended or lost its place; what was computed stays until its cells are needed."""
        if (stream := self._streams.pop(id, None)) is not None:
            self._settle(stream, stream.tokens)
            self.cache.close(stream.slot)

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        self.backend.close()

    # -- slots and cells ----------------------------------------------------------------------------------------

    def _opened(self, asks: list[Ask]) -> list[_Stream]:
        """A stream for each that finds a slot, holding exactly what agrees with its sequence."""
        busy = {ask.id for ask in asks}
        streams = [s for ask in asks if (s := self._streams.get(ask.id) or self._open(ask, busy)) is not None]
        asked = {ask.id: ask.tokens for ask in asks}
        for stream in streams:
            self._settle(stream, asked[stream.id])
            stream.used = self._rounds
        return [s for s in streams if max(s.tokens[s.held :]) < self._known]

    def _open(self, ask: Ask, busy: set[int]) -> _Stream | None:
        match = self.cache.match(ask.tokens, len(ask.tokens) - 1)
        while (slot := self.cache.open(match)) is None:
            if not self._give_up_one(busy):
                return None
            match = self.cache.match(ask.tokens, len(ask.tokens) - 1)
        stream = self._streams[ask.id] = _Stream(ask.id, slot, ask.tokens, match.length)
        return stream

    def _settle(self, stream: _Stream, tokens: Seq[int]) -> None:
        """Keep what was drafted and came true, forget the rest."""
        stream.held, stream.tail, stream.tokens = _agreed(stream, tokens), [], tokens
        self.cache.trim(stream.slot, stream.held)

    def _room(self, cells: int, busy: set[int]) -> bool:
        while not self.cache.reserve(cells):
            if not self._give_up_one(busy):
                return False
        return True

    def _give_up_one(self, busy: set[int]) -> bool:
        idle = [stream for stream in self._streams.values() if stream.id not in busy]
        if not idle:
            return False
        self._forget(min(idle, key=lambda stream: stream.used))
        return True

    def _forget(self, stream: _Stream) -> None:
        del self._streams[stream.id]
        self.cache.close(stream.slot, keep=False)

    # -- decoding -----------------------------------------------------------------------------------------------

    def _caught_up(self, streams: list[_Stream], budget: int, round: DraftRound) -> Iterator[_Stream]:
        """Those that lack no more than fits in a drafting step; shortest first, each prompt by itself."""
        busy = {stream.id for stream in streams}
        for stream in sorted(streams, key=lambda stream: stream.lag):
            while stream.lag > self._in_step and budget > 0:
                count = min(stream.lag - 1, self.backend.limits.batch, budget)
                begin = self._clock()
                if not self._room(count, busy) or self._decode([(stream, _inner(stream, count))]) is None:
                    break
                stream.held += count
                budget -= count
                round.steps.append(DraftStep(count, 1, 0, self._clock() - begin))
            if stream.lag <= self._in_step and stream.id in self._streams:
                yield stream

    def _advance(self, streams: list[_Stream], round: DraftRound) -> list[_Stream]:
        """One more token for each; who found no cells or failed drops out, keeping what was drafted before."""
        busy, advanced = {stream.id for stream in streams}, []
        for part in self._parts(streams):
            begin = self._clock()
            work = [(stream, _last(stream, round)) for stream in part]
            count = sum(len(chunk.tokens) for _, chunk in work)
            rows = self._decode(work) if self._room(count, busy) else None
            if rows is None:
                continue
            drafted = sum(self._take(stream, rows, row, round) for row, stream in enumerate(part))
            round.steps.append(DraftStep(count, len(part), drafted, self._clock() - begin))
            advanced += part
        return advanced

    def _take(self, stream: _Stream, rows: Rows, row: int, round: DraftRound) -> bool:
        token = rows.argmax(row)
        draft = round.drafts.setdefault(stream.id, Draft())
        if draft.tokens:
            stream.tail.append(draft.tokens[-1])
        stream.held = len(stream.tokens)
        # Ids beyond the target's are padding of a larger table, and mean that the drafter is lost.
        if token >= self._size:
            return False
        draft.tokens.append(token)
        # The largest logit is the token's, so its probability is one over the sum of all, relative to it.
        draft.confidence.append(1.0 / mass(rows.logits(row)))
        return True

    def _wants_more(self, stream: _Stream, round: DraftRound, most: int) -> bool:
        tokens = round.drafts[stream.id].tokens
        return len(stream.tail) + 1 == len(tokens) < most and tokens[-1] not in self._ends

    def _parts(self, streams: list[_Stream]) -> Iterator[list[_Stream]]:
        """`streams` in groups that one decode may hold."""
        limits, ragged = self.backend.limits, self.backend.capabilities.ragged
        part: list[_Stream] = []
        for stream in sorted(streams, key=lambda stream: stream.lag):
            tokens = sum(max(s.lag, 1) for s in part) + max(stream.lag, 1)
            full = len(part) == limits.rows or tokens > limits.batch
            if part and (full or not (ragged or max(part[0].lag, 1) == max(stream.lag, 1))):
                yield part
                part = []
            part.append(stream)
        if part:
            yield part

    def _decode(self, work: list[tuple[_Stream, Chunk]]) -> Rows | None:
        batch: Batch = [chunk for _, chunk in work]
        try:
            rows = self.backend.decode(batch)
        except BackendError as error:
            self._failed([stream for stream, _ in work], error)
            return None
        self._failures = 0
        for stream, chunk in work:
            self.cache.extend(stream.slot, chunk.tokens)
        return rows

    def _failed(self, streams: list[_Stream], error: BackendError) -> None:
        """What the slots hold is unknown now."""
        for stream in streams:
            self._forget(stream)
        self._failures += 1
        log.get("draft").warning("the draft model failed", reason=str(error), in_a_row=self._failures)
        if self._failures == _FAILURES:
            self.failure = str(error)


def _inner(stream: _Stream, count: int) -> Chunk:
    return Chunk(stream.slot, stream.held, stream.tokens[stream.held : stream.held + count], 0)


def _last(stream: _Stream, round: DraftRound) -> Chunk:
    """The sequence's last tokens, or what was drafted last; its row gives the next token."""
    draft = round.drafts.get(stream.id)
    tokens = stream.tokens[stream.held :] if draft is None else draft.tokens[-1:]
    return Chunk(stream.slot, stream.held + len(stream.tail), tokens, 1)


def _agreed(stream: _Stream, tokens: Seq[int]) -> int:
    """How many of `tokens` the stream holds; never the last, whose logits are wanted again."""
    came_true = common_prefix(stream.tail, 0, tokens, stream.held, len(stream.tail))
    return min(stream.held + came_true, len(tokens) - 1)


def first_difference(target: Vocabulary, draft: Vocabulary) -> tuple[int, bytes, bytes] | None:
    """The first id that stands for other bytes in `draft`, with both, or None; either may have more ids at its end."""
    for token, (wanted, found) in enumerate(zip(target.pieces(), draft.pieces(), strict=False)):
        if wanted != found:
            return token, wanted, found
    return None
