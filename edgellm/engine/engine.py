"""The loop: admit, schedule, decode, sample, emit. Sees token ids only; used by one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence as Seq
from dataclasses import dataclass

from edgellm.backends.base import Backend
from edgellm.backends.batch import Batch, Chunk, Rows
from edgellm.engine.host_tier import HostTier
from edgellm.engine.prefix_cache import PrefixCache
from edgellm.engine.sampling import logprobs
from edgellm.engine.scheduler import Budget, Scheduler
from edgellm.engine.sequence import Job, Sequence, Update
from edgellm.engine.speculative.proposer import NoProposer, Proposer, StepRecord
from edgellm.engine.speculative.verify import verify
from edgellm.errors import BackendError, DeadlineExceeded, EdgeLLMError


@dataclass(slots=True)
class Counters:
    """Since the start: steps, tokens by origin, seconds spent in steps and in the backend's decode alone."""

    steps: int = 0
    prefilled: int = 0
    reused: int = 0
    generated: int = 0
    drafted: int = 0
    accepted: int = 0
    preemptions: int = 0
    step_s: float = 0.0
    decode_s: float = 0.0


class Engine:
    """One backend, shared by every request: call `step` while `busy`, and `tidy` when not.

    `prefix_memory` is the host memory, in bytes, for prompts that left the KV.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Callable[[], float],
        budget: Budget,
        prefix_cache: bool = True,
        prefix_memory: int = 0,
        proposer: Proposer | None = None,
    ) -> None:
        can, limits = backend.capabilities, backend.limits
        assert budget.batch <= limits.batch and budget.parallel <= min(budget.rows, limits.slots, limits.rows)
        self.backend = backend
        self.cache = PrefixCache(
            backend,
            cells=limits.cells,
            slots=limits.slots,
            shares=can.copy,
            partial=can.trim,
            enabled=prefix_cache,
            tier=HostTier(backend, prefix_memory if can.save else 0),
        )
        self.scheduler = Scheduler(self.cache, budget)
        self.proposer = proposer or NoProposer()
        self.counters = Counters()
        self._clock = clock
        self._sequences: dict[int, Sequence] = {}

    @property
    def busy(self) -> bool:
        return bool(self._sequences)

    def submit(self, job: Job) -> None:
        """Queue a job. Raises QueueFull, and RequestError for parameters the sampler refuses.

        The caller has checked that the prompt, and the prompt plus `max_tokens`, fit in the context.
        """
        assert job.prompt and job.max_tokens > 0 and job.id not in self._sequences
        assert len(job.prompt) + job.max_tokens <= self.backend.limits.cells
        sequence = Sequence(job, len(self.backend.vocabulary), self._clock)
        self.scheduler.add(sequence)
        self._sequences[job.id] = sequence

    def cancel(self, id: int) -> None:
        """Forget a job; unknown ids (finished already) are fine. What it computed stays in the prefix cache."""
        if (sequence := self._sequences.get(id)) is not None:
            self._remove(sequence)

    def step(self) -> list[Update]:
        """Advance everything by one decode, and say what happened."""
        begin = self._clock()
        updates = {s.id: self._fail(s, _too_late(s)) for s in self._overdue(begin)}
        schedule = self.scheduler.schedule()
        for sequence in schedule.preempted:
            self.proposer.release(sequence)
        for sequence in schedule.admitted:
            self._admit(sequence, updates)
        self.counters.preemptions += len(schedule.preempted)
        if schedule.tokens:
            tokens = schedule.tokens if self.backend.capabilities.ragged else _alike(schedule.tokens)
            self._decode(tokens, updates, begin)
        self.counters.steps += 1
        self.counters.step_s += self._clock() - begin
        return list(updates.values())

    def tidy(self) -> bool:
        """Do a short piece of work that can wait for a quiet moment; False when there is none."""
        return self.cache.tidy() or self.proposer.tidy()

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        self.proposer.close()
        self.backend.close()

    # -- one step -----------------------------------------------------------------------------------------------

    def _admit(self, sequence: Sequence, updates: dict[int, Update]) -> None:
        self.proposer.admit(sequence)
        if not sequence.watch.running:
            self.counters.reused += sequence.computed
            updates[sequence.id] = Update(sequence.id, started=sequence.computed)
        sequence.watch.admitted(sequence.computed)

    def _decode(self, tokens: Mapping[Sequence, int], updates: dict[int, Update], begin: float) -> None:
        no_prompts = all(sequence.decoding for sequence in tokens)
        drafts = self._propose(tokens) if no_prompts else {}
        batch: Batch = [_chunk(s, count, drafts.get(s.id, [])) for s, count in tokens.items()]
        decode_s, generated = self.counters.decode_s, self.counters.generated
        try:
            rows = self._timed_decode(batch)
        except BackendError as error:
            updates.update({s.id: self._fail(s, error) for s in tokens})
            return
        row = 0
        for (sequence, count), chunk in zip(tokens.items(), batch, strict=True):
            update = updates.setdefault(sequence.id, Update(sequence.id))
            try:
                self._advance(sequence, count, chunk, rows, row, update)
            except EdgeLLMError as error:
                update.error = error
            row += chunk.rows
        if no_prompts:
            decode_s, whole_s = self.counters.decode_s - decode_s, self._clock() - begin
            self.proposer.stepped(
                StepRecord(row, row - len(tokens), self.counters.generated - generated, decode_s, whole_s)
            )
        self._tell(tokens, updates)

    def _tell(self, stepped: Iterable[Sequence], updates: dict[int, Update]) -> None:
        """Let those go that ended, and say how the others stand.

        Room that is made for what stays of them may take long, and is no part of what the step took for the others.
        """
        for sequence in stepped:
            update = updates[sequence.id]
            if update.error is not None:
                updates[sequence.id] = self._fail(sequence, update.error)
                continue
            if update.tokens:
                update.timings = sequence.watch.timings()
            if update.finished:
                self._remove(sequence)

    def _propose(self, tokens: Mapping[Sequence, int]) -> Mapping[int, list[int]]:
        """Drafts for a step of decodes alone, in rows and cells that nobody else needs: nothing is evicted for them."""
        if not self.backend.capabilities.trim:
            return {}
        budget, taken = self.scheduler.budget, len(tokens)
        spare = min(budget.rows, budget.batch, self.cache.free) - taken
        drafts = self.proposer.propose(list(tokens), spare)
        longest = {s.id: s.job.max_tokens - s.generated - 1 for s in tokens}
        grammars = {s.id: s.grammar for s in tokens if s.grammar is not None}
        drafts = {id: draft[: longest[id]] for id, draft in drafts.items()}
        return {id: draft[: grammars[id].agreeing(draft)] if id in grammars else draft for id, draft in drafts.items()}

    def _timed_decode(self, batch: Batch) -> Rows:
        begin = self._clock()
        try:
            rows = self.backend.decode(batch)
            asked = self._clock()
            self.proposer.meanwhile()
            begin += self._clock() - asked
            rows.wait()
        finally:
            self.counters.decode_s += self._clock() - begin
        return rows

    def _advance(self, sequence: Sequence, count: int, chunk: Chunk, rows: Rows, row: int, update: Update) -> None:
        assert sequence.slot is not None
        self.cache.extend(sequence.slot, chunk.tokens)
        sequence.computed += count
        sequence.last_step = self.counters.steps
        if sequence.generated == 0:
            update.computed = sequence.computed
            sequence.watch.prefilled(count)
            self.counters.prefilled += count
        if chunk.rows:
            self._append(sequence, chunk.tokens[count:], rows, row, update)

    def _append(self, sequence: Sequence, drafts: Seq[int], rows: Rows, row: int, update: Update) -> None:
        assert sequence.slot is not None
        drawn, accepted = verify(sequence, rows, row, drafts)
        sequence.watch.tokens(len(drawn))
        for index, token in enumerate(drawn):
            sequence.tokens.append(token)
            update.tokens.append(token)
            if sequence.job.logprobs is not None:
                update.scores.append(logprobs(rows.logits(row + index), token, sequence.job.logprobs))
            if (reason := sequence.outcome(token)) is not None:
                update.finished = reason
        self.counters.generated += len(drawn)
        sequence.computed += accepted
        self.cache.trim(sequence.slot, sequence.computed)
        self.counters.drafted += len(drafts)
        self.counters.accepted += accepted
        sequence.watch.drafted(len(drafts), accepted)
        self.proposer.commit(sequence, len(drafts), accepted)

    # -- leaving ------------------------------------------------------------------------------------------------

    def _overdue(self, now: float) -> list[Sequence]:
        return [s for s in self._sequences.values() if s.job.deadline is not None and s.job.deadline <= now]

    def _fail(self, sequence: Sequence, error: EdgeLLMError) -> Update:
        # After a failed decode the slot's state is unknown, so nothing of it may be reused.
        self._remove(sequence, keep=not isinstance(error, BackendError))
        return Update(sequence.id, error=error, timings=sequence.watch.timings())

    def _remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        del self._sequences[sequence.id]
        if sequence.slot is not None:
            self.proposer.release(sequence)
        self.scheduler.remove(sequence, keep=keep)


def _chunk(sequence: Sequence, count: int, drafts: list[int]) -> Chunk:
    assert sequence.slot is not None
    tokens = sequence.tokens[sequence.computed : sequence.computed + count]
    rows = 1 + len(drafts) if count == sequence.remaining else 0
    return Chunk(sequence.slot, sequence.computed, [*tokens, *drafts], rows)


def _alike(tokens: Mapping[Sequence, int]) -> dict[Sequence, int]:
    """Chunks of one length, that of whoever was left out longest, for backends that take no other batch."""
    oldest = min(tokens, key=lambda s: s.last_step)
    return {s: count for s, count in tokens.items() if count == tokens[oldest]}


def _too_late(sequence: Sequence) -> DeadlineExceeded:
    stage = "while it was being answered" if sequence.watch.running else "while it waited for its turn"
    return DeadlineExceeded(f"the request's deadline passed {stage}; allow more time or ask for fewer tokens")
