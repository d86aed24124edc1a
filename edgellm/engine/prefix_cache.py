"""Which slots remember which tokens: a radix tree of spans over running and retained slots, with a tier beneath it.

A slot's KV is the path from the root to the slot's tail. Slots with a common beginning share its spans, and the
spans' cells exist once. The cache alone copies, trims and clears slots of the backend, so the two cannot disagree.
What is evicted goes to the host tier, if there is one, and comes back when it is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.host_tier import HostTier, Saved
from edgellm.engine.span import Match, Span

_RETAINED_SHARE = 0.25
"""Part of all cells that may be kept for later requests. Cells in use lie among them, and attention passes over them
all: 6,400 retained cells made a step of 16 sequences a fifth slower (Qwen2.5 1.5B, two cores), 1,600 did not show."""

_BESIDE_RUNNING = 256
"""Cells that may be kept while a sequence runs, where a host tier takes the others."""


class Slots(Protocol):
    """The part of a `Backend` that the cache drives."""

    def copy(self, source: int, target: int, length: int) -> None: ...

    def trim(self, slot: int, length: int) -> None: ...


@dataclass(slots=True)
class _Retained:
    """What eviction knows of a slot nobody runs on: its rank (see `PrefixCache._rank`) and when it was last used."""

    rank: float
    used: int
    saved: bool = False


class PrefixCache:
    """Slots and cells, handed out and taken back.

    `partial` says whether a prefix of a slot can be shared (a backend that can trim); otherwise only whole slots are.
    `shares` says whether the backend copies; otherwise a retained slot is taken over by the next sequence that fits.
    `tier` needs a backend that can trim, for it restores whole slots.
    """

    def __init__(
        self,
        backend: Slots,
        *,
        cells: int,
        slots: int,
        shares: bool = True,
        partial: bool = True,
        enabled: bool = True,
        tier: HostTier | None = None,
    ) -> None:
        self.backend = backend
        self.tier = tier if tier is not None and tier.budget and enabled and partial else None
        self.cells = cells
        self.used = 0
        self._shares = shares
        self._partial = partial
        self._enabled = enabled
        self._root = Span(None, [], set())
        self._free = list(range(slots - 1, -1, -1))
        self._tails: dict[int, Span] = {}
        self._retained: dict[int, _Retained] = {}
        self._inflation = 0.0
        self._clock = itertools.count()

    # -- what is there ------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Cells nobody holds."""
        return self.cells - self.used

    @property
    def available(self) -> int:
        """Cells nobody holds, and those that eviction would free."""
        return self.free + sum(len(span.tokens) for span in self._spans() if self._evictable(span))

    def available_beside(self, match: Match) -> int:
        """What would be available once `match` is in use."""
        pinned, span = match.length if match.saved else 0, match.span
        while span.parent is not None:
            if self._evictable(span):
                pinned += match.inside if span is match.span else len(span.tokens)
            span = span.parent
        return self.available - pinned

    @property
    def shares_prefixes(self) -> bool:
        """Whether a running sequence's beginning can serve another."""
        return self._enabled and self._shares and self._partial

    @property
    def resident(self) -> int:
        """Slots that hold something, running or retained."""
        return len(self._tails)

    @property
    def running(self) -> int:
        return len(self._tails) - len(self._retained)

    def length(self, slot: int) -> int:
        """Tokens that `slot` holds."""
        total, span = 0, self._tails[slot]
        while span.parent is not None:
            total += len(span.tokens)
            span = span.parent
        return total

    def tokens(self, slot: int) -> list[int]:
        """The tokens themselves, in order."""
        pieces, span = [], self._tails[slot]
        while span.parent is not None:
            pieces.append(span.tokens)
            span = span.parent
        return [token for piece in reversed(pieces) for token in piece]

    def match(self, tokens: Seq[int], limit: int | None = None) -> Match:
        """The longest prefix of `tokens`, at most `limit` long, that is held and that the next `open` may use."""
        limit = len(tokens) if limit is None else min(limit, len(tokens))
        resident = self._resident_match(tokens, limit)
        if self.tier is not None and (found := self.tier.best(tokens, limit, resident.length)):
            entry, length = found
            if len(entry.tokens) <= self.available:
                return Match(length, None, self._root, 0, entry)
        return resident

    def _resident_match(self, tokens: Seq[int], limit: int) -> Match:
        best, span, length = Match(0, None, self._root, 0), self._root, 0
        while self._enabled and length < limit:
            child, common = self._best_child(span, tokens, length, limit)
            if child is None:
                break
            length += common
            whole = common == len(child.tokens)
            if (slot := self._holder(child, whole)) is not None:
                best = Match(length, slot, child, common)
            if not whole:
                break
            span = child
        return best

    def _holder(self, span: Span, whole: bool) -> int | None:
        slots = span.slots if self._shares else span.slots & self._retained.keys()
        if self._partial:
            return min(slots, default=None)
        return next((slot for slot in slots if whole and self._tails[slot] is span), None)

    def _best_child(self, span: Span, tokens: Seq[int], at: int, limit: int) -> tuple[Span | None, int]:
        best: tuple[Span | None, int] = (None, 0)
        for child in span.children:
            if child.tokens[0] == tokens[at]:
                common = common_prefix(child.tokens, 0, tokens, at, limit - at)
                if common > best[1]:
                    best = (child, common)
        return best

    # -- running slots ------------------------------------------------------------------------------------------

    def open(self, match: Match) -> int | None:
        """A slot that holds the match's tokens and is free to grow; None when every slot is running.

        Of a saved match that the backend refuses to restore, the slot holds nothing: ask `length`.
        """
        if match.slot is not None and not self._shares:
            return self._take_over(match)
        if not self._free and not self._evict_one(protect=match.slot):
            # Where all others run, the slot that holds the beginning is the one to run on.
            return self._take_over(match) if match.slot in self._retained else None
        if match.saved is not None:
            return self._restore(match.saved, match.length)
        slot = self._free.pop()
        boundary = self._split(match.span, match.inside) if match.length else self._root
        if match.slot is not None:
            self.backend.copy(match.slot, slot, match.length)
        self._join(slot, boundary)
        self._drop_covered(boundary)
        if match.slot in self._retained:
            self._touch(match.slot, saved=self._retained[match.slot].saved)
        self._shed()
        return slot

    def extend(self, slot: int, tokens: Seq[int]) -> None:
        """The backend has computed `tokens` at the end of `slot`."""
        tail = self._tails[slot]
        if tail.parent is None or tail.children or len(tail.slots) > 1:
            grown = Span(tail, [], {slot})
            tail.children.append(grown)
            self._tails[slot] = tail = grown
        tail.tokens.extend(tokens)
        self.used += len(tokens)
        assert self.used <= self.cells, "more cells computed than the backend has"

    def trim(self, slot: int, length: int) -> None:
        """Forget what `slot` holds from `length` on."""
        excess = self.length(slot) - length
        assert excess >= 0
        if excess:
            self.backend.trim(slot, length)
        while excess:
            tail = self._tails[slot]
            cut = min(excess, len(tail.tokens))
            excess -= cut
            if cut < len(tail.tokens):
                self._split(tail, len(tail.tokens) - cut)
                tail = self._tails[slot]
            assert tail.parent is not None
            self._tails[slot] = tail.parent
            self._leave(slot, tail)

    def close(self, slot: int, *, keep: bool = True) -> None:
        """Nobody runs on `slot` any more; with `keep`, its tokens stay for others until their cells are needed."""
        tail = self._tails[slot]
        covered = self._partial and len(tail.slots) > 1
        if not keep or not self._enabled or tail.parent is None or covered:
            self._clear(slot)
        else:
            self._touch(slot)
            self._shed(newest=slot)

    # -- making room --------------------------------------------------------------------------------------------

    def reserve(self, cells: int) -> bool:
        """Evict retained slots, least worth first, until `cells` are free; False when that cannot be."""
        while self.free < cells:
            if not self._evict_one():
                return False
        return True

    def clear(self) -> None:
        """Drop everything retained or saved."""
        for slot in list(self._retained):
            self._clear(slot)
        if self.tier is not None:
            self.tier.clear()

    def tidy(self) -> bool:
        """Save one retained slot ahead of its eviction, for a quiet moment; False when all are."""
        slot = next((s for s, kept in self._retained.items() if not kept.saved), None)
        if self.tier is None or slot is None:
            return False
        self.tier.put(slot, self.tokens(slot))
        self._retained[slot].saved = True
        return True

    def _evict_one(self, protect: int | None = None) -> bool:
        candidates = [slot for slot in self._retained if slot != protect]
        if not candidates:
            return False
        slot = min(candidates, key=lambda s: (self._retained[s].rank, self._retained[s].used))
        self._inflation = max(self._inflation, self._retained[slot].rank)
        if self.tier is not None and not self._retained[slot].saved and len(self._tails[slot].slots) == 1:
            self.tier.put(slot, self.tokens(slot))
        self._clear(slot)
        return True

    def _shed(self, newest: int | None = None) -> None:
        """Keep what is retained within bounds.

        With a tier that is next to nothing while somebody runs, and no bound when nobody does. Without, a share of all
        cells, and the newest stays whatever its size: its owner is likely to go on.
        """
        if self.tier is None:
            bound, protect = self.cells * _RETAINED_SHARE, newest
        else:
            bound, protect = _BESIDE_RUNNING if self.running else self.cells, None
        while self.available - self.free > bound and self._evict_one(protect=protect):
            pass

    def _touch(self, slot: int, saved: bool = False) -> None:
        self._retained[slot] = _Retained(self._rank(slot), next(self._clock), saved)

    def _rank(self, slot: int) -> float:
        """GreedyDual: inflation at the last use, plus recompute cost for each cell that dropping would free.

        A token's cost grows with the attention over what lies before it, about twofold every 8k tokens.
        """
        end = self.length(slot)
        return self._inflation + 1.0 + end / 8192

    def _evictable(self, span: Span) -> bool:
        return span.slots <= self._retained.keys()

    def _spans(self) -> Iterator[Span]:
        stack = list(self._root.children)
        while stack:
            span = stack.pop()
            yield span
            stack.extend(span.children)

    # -- the tree -----------------------------------------------------------------------------------------------

    def _take_over(self, match: Match) -> int:
        slot = match.slot
        assert slot is not None
        del self._retained[slot]
        self.trim(slot, match.length)
        return slot

    def _restore(self, entry: Saved, length: int) -> int | None:
        """A slot with `entry`'s first `length` tokens, in cells of its own even where others hold the same ones."""
        assert self.tier is not None
        if not self.reserve(len(entry.tokens)):
            return None
        slot = self._free.pop()
        self._join(slot, self._root)
        if self.tier.restore(entry, slot):
            if length < len(entry.tokens):
                self.backend.trim(slot, length)
            self.extend(slot, entry.tokens[:length])
        self._shed()
        return slot

    def _join(self, slot: int, tail: Span) -> None:
        self._tails[slot] = tail
        span: Span | None = tail
        while span is not None and span.parent is not None:
            span.slots.add(slot)
            span = span.parent

    def _split(self, span: Span, at: int) -> Span:
        """Cut `span` after `at` tokens and return the upper part; slots that ended there end in the lower one."""
        if at == len(span.tokens):
            return span
        assert span.parent is not None and at > 0
        lower = Span(span, span.tokens[at:], set(span.slots), span.children)
        for child in lower.children:
            child.parent = lower
        for slot in lower.slots:
            if self._tails[slot] is span:
                self._tails[slot] = lower
        span.tokens = span.tokens[:at]
        span.children = [lower]
        return span

    def _leave(self, slot: int, span: Span) -> None:
        span.slots.discard(slot)
        if not span.slots:
            assert span.parent is not None and not span.children
            self.used -= len(span.tokens)
            span.parent.children.remove(span)

    def _clear(self, slot: int) -> None:
        self._retained.pop(slot, None)
        span = self._tails.pop(slot)
        while span.parent is not None:
            parent = span.parent
            self._leave(slot, span)
            span = parent
        self.backend.trim(slot, 0)
        self._free.append(slot)

    def _drop_covered(self, span: Span) -> None:
        # A retained slot that ends where another goes on keeps no cell alive: its slot is worth more free.
        if self._partial:
            for slot in [s for s in span.slots if s in self._retained and self._tails[s] is span]:
                self._clear(slot)
