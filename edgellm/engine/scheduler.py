"""Who computes how many tokens in the next step: `schedule()` yields {sequence: tokens}, for prompts and decodes alike.

Pure: no clock, no randomness, no logits; the prefix cache beneath it moves the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.prefix_cache import PrefixCache
from edgellm.engine.sequence import Sequence
from edgellm.engine.span import Match
from edgellm.errors import QueueFull

_SHARED_WORTH_WAITING = 16
"""A sequence waits for a prompt in progress that will give it at least this many tokens more than the cache has."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`batch` tokens a step at most, `rows` of them with logits; `beside` prompt tokens while others decode.

    `parallel` sequences run at once, `queue` wait at most.
    """

    batch: int = 512
    rows: int = 64
    beside: int = 128
    parallel: int = 16
    queue: int = 256


@dataclass(slots=True)
class Schedule:
    """`tokens` to compute for each sequence; `admitted` and `preempted` since the last step."""

    tokens: dict[Sequence, int]
    admitted: list[Sequence]
    preempted: list[Sequence]


class Scheduler:
    """Continuous batching: sequences enter and leave at every step."""

    def __init__(self, cache: PrefixCache, budget: Budget) -> None:
        self.cache = cache
        self.budget = budget
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._arrivals = 0

    def add(self, sequence: Sequence) -> None:
        """Queue `sequence`; raises QueueFull when too many wait already."""
        if len(self.waiting) >= self.budget.queue:
            raise QueueFull(
                f"{len(self.waiting)} requests are waiting already, the most this server queues; try again shortly",
                retry_after_s=1.0 + len(self.waiting) / self.budget.parallel,
            )
        sequence.order = self._arrivals
        self._arrivals += 1
        self._enqueue(sequence)

    def remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Finished, cancelled or failed; with `keep`, what it computed stays in the prefix cache."""
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
            self._close(sequence, keep=keep)

    def schedule(self) -> Schedule:
        """The next step; empty only when nothing waits or runs."""
        preempted = self._make_room()
        plan = Schedule({s: 1 for s in self.running if s.decoding}, [], preempted)
        allowance = self.budget.batch - len(plan.tokens)
        if plan.tokens:
            allowance = min(allowance, self.budget.beside)
        plan.preempted.extend(self._yield_to_interactive())
        for sequence in plan.preempted:
            plan.tokens.pop(sequence, None)
        self._admit(plan)
        self._share_out(plan, allowance)
        while not plan.tokens and len(self.running) > 1:
            # Prompts that block each other's cells: the last in rank gives its own back.
            plan.preempted.append(victim := max(self.running, key=lambda s: s.rank))
            self._preempt(victim)
            self._share_out(plan, allowance)
        assert plan.tokens or not self.running
        return plan

    # -- memory -------------------------------------------------------------------------------------------------

    def _make_room(self) -> list[Sequence]:
        """Free a cell for every decode, by eviction, then by preempting whoever is last in rank."""
        preempted = []
        while not self.cache.reserve(sum(1 for s in self.running if s.decoding)):
            victim = max(self.running, key=lambda s: s.rank)
            assert len(self.running) > 1, "one sequence always fits: its length was checked when it came"
            self._preempt(victim)
            preempted.append(victim)
        return preempted

    def _yield_to_interactive(self) -> list[Sequence]:
        """When every place is taken and someone at a keyboard waits, batch work steps back."""
        urgent = sum(1 for s in self.waiting if s.job.priority == "interactive")
        batch = [s for s in self.running if s.job.priority == "batch"]
        crowd = urgent + len(self.running) - self.budget.parallel
        victims = sorted(batch, key=lambda s: s.rank)[-crowd:] if urgent and crowd > 0 else []
        for victim in victims:
            self._preempt(victim)
        return victims

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._close(sequence)
        sequence.computed = 0
        self._enqueue(sequence)

    def _close(self, sequence: Sequence, *, keep: bool = True) -> None:
        assert sequence.slot is not None
        self.cache.close(sequence.slot, keep=keep)
        sequence.slot = None

    def _enqueue(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)
        self.waiting.sort(key=lambda s: s.rank)

    # -- admission ----------------------------------------------------------------------------------------------

    def _admit(self, plan: Schedule) -> None:
        for sequence in list(self.waiting):
            if len(self.running) >= self.budget.parallel:
                return
            match = self.cache.match(sequence.tokens, len(sequence.tokens) - 1)
            if self._worth_waiting(sequence, match):
                continue
            # Without room for the first in line nobody behind it is let past, or it might never find room.
            if not self._fits(sequence, match) or (slot := self.cache.open(match)) is None:
                return
            self.waiting.remove(sequence)
            self.running.append(sequence)
            sequence.slot, sequence.computed = slot, self.cache.length(slot)
            plan.admitted.append(sequence)

    def _worth_waiting(self, sequence: Sequence, match: Match) -> bool:
        """Another prompt that is being computed begins alike: compute the common part once.

        Nobody waits for work of lower priority, which may itself be kept waiting for long.
        """
        wanted, usable = match.length + _SHARED_WORTH_WAITING, len(sequence.tokens) - 1
        return self.cache.shares_prefixes and any(
            not other.decoding
            and other.rank[0] <= sequence.rank[0]
            and common_prefix(other.tokens, 0, sequence.tokens, 0, usable) >= wanted
            for other in self.running
        )

    def _fits(self, sequence: Sequence, match: Match) -> bool:
        promised = sum(max(s.remaining, 16) for s in self.running)
        needed = len(sequence.tokens) - match.length + promised
        return needed <= self.cache.available_beside(match) or not self.running

    # -- prompts ------------------------------------------------------------------------------------------------

    def _share_out(self, plan: Schedule, allowance: int) -> None:
        """Share the step among prompts: equal parts, what a short one leaves going to the others; rank breaks ties."""
        prompts = sorted((s for s in self.running if s not in plan.tokens), key=lambda s: s.rank)
        if any(s.job.priority == "interactive" for s in prompts):
            prompts = [s for s in prompts if s.job.priority == "interactive"]
        rows = self.budget.rows - len(plan.tokens)
        for sequence, tokens in self._parts(prompts, allowance):
            last = tokens == sequence.remaining
            if tokens and (rows > 0 or not last) and self.cache.reserve(tokens + sum(plan.tokens.values())):
                plan.tokens[sequence] = tokens
                rows -= last

    def _parts(self, prompts: list[Sequence], allowance: int) -> list[tuple[Sequence, int]]:
        parts = []
        shortest_first = sorted(prompts, key=lambda s: s.remaining)
        for waiting, sequence in zip(range(len(prompts), 0, -1), shortest_first, strict=True):
            tokens = min(sequence.remaining, -(-allowance // waiting))
            parts.append((sequence, tokens))
            allowance -= tokens
        return sorted(parts, key=lambda part: part[0].rank)
