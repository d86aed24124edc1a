"""The engine on the fake backend: whatever the schedule, every sequence gets the tokens it would get alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, hashed
from edgellm.engine.engine import Engine
from edgellm.engine.scheduler import Budget
from edgellm.engine.sequence import Job, Sequence, Update
from edgellm.engine.speculative.proposer import NoProposer
from edgellm.errors import BackendError, DeadlineExceeded, QueueFull, RequestError
from edgellm.request import GREEDY, SamplingParams


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def engine(backend: FakeBackend | None = None, **options: Any) -> Engine:
    budget = {"batch": 64, "rows": 16, "beside": 16, "parallel": 4, "queue": 100}
    budget.update({key: options.pop(key) for key in list(options) if key in budget})
    return Engine(backend or FakeBackend(), clock=options.pop("clock", Clock()), budget=Budget(**budget), **options)


def job(id: int, prompt: list[int], n: int = 8, params: SamplingParams = GREEDY, **options: Any) -> Job:
    return Job(id=id, prompt=prompt, params=params, seed=options.pop("seed", 7), max_tokens=n, **options)


def alone(prompt: list[int], n: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(n):
        tokens.append(hashed(tokens))
    return tokens[len(prompt) :]


def drain(e: Engine) -> dict[int, Update]:
    """Run to the end; one update a sequence, with everything in it."""
    whole: dict[int, Update] = {}
    while e.busy:
        for update in e.step():
            merge(whole, update)
        assert e.cache.used == e.backend.cells_used  # type: ignore[attr-defined]
    return whole


def merge(whole: dict[int, Update], update: Update) -> None:
    total = whole.setdefault(update.id, Update(update.id))
    total.tokens += update.tokens
    total.scores += update.scores
    for name in ("started", "finished", "timings", "error"):
        if getattr(update, name) is not None:
            assert getattr(total, name) is None or name == "timings"
            setattr(total, name, getattr(update, name))


def random_jobs(count: int, seed: int) -> list[Job]:
    chance = random.Random(seed)
    base = [chance.randrange(256) for _ in range(60)]
    tails = ([chance.randrange(4) for _ in range(chance.randrange(1, 40))] for _ in range(count))
    return [
        job(
            i,
            base[: chance.randrange(1, 60)] + tail,
            chance.randrange(1, 50),
            priority=chance.choice(["interactive", "batch"]),
        )
        for i, tail in enumerate(tails)
    ]


@pytest.mark.parametrize("cells", [4096, 400, 150])
@pytest.mark.parametrize("prefix_cache", [True, False])
@pytest.mark.parametrize(
    "capabilities",
    [
        Capabilities(),
        Capabilities(copy=False),
        Capabilities(trim=False),
        Capabilities(copy=False, trim=False, ragged=False),
    ],
)
def test_together_as_alone(cells: int, prefix_cache: bool, capabilities: Capabilities) -> None:
    limits = Limits(cells=cells, slots=8, batch=64, rows=16)
    e = engine(FakeBackend(limits=limits, capabilities=capabilities), prefix_cache=prefix_cache)
    jobs = random_jobs(25, seed=cells)
    for j in jobs:
        e.submit(j)
    done = drain(e)
    assert {i: u.tokens for i, u in done.items()} == {j.id: alone(list(j.prompt), j.max_tokens) for j in jobs}
    assert all(u.finished == "length" for u in done.values())
    if cells == 150:
        assert e.counters.preemptions > 0
    e.cache.clear()
    assert e.cache.resident == e.cache.used == 0


def test_sequences_enter_and_leave_at_every_step() -> None:
    e = engine()
    e.submit(job(1, [1, 2, 3], 20))
    for _ in range(5):
        e.step()
    e.submit(job(2, [4, 5, 6], 3))
    done = drain(e)
    assert done[2].tokens == alone([4, 5, 6], 3)
    assert e.counters.steps < 5 + 20


def test_sampling_is_the_same_alone_and_together() -> None:
    params = SamplingParams(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0)
    jobs = [job(i, [i + 1, 2, 3], 12, params, seed=i) for i in range(6)]
    together = engine()
    for j in jobs:
        together.submit(j)
    done = drain(together)
    for j in jobs:
        single = engine()
        single.submit(j)
        assert drain(single)[j.id].tokens == done[j.id].tokens
    assert len({tuple(u.tokens) for u in done.values()}) == 6


def test_a_prompt_that_begins_alike_is_computed_once_even_at_the_same_moment() -> None:
    backend = FakeBackend()
    e = engine(backend)
    shared = list(range(40))
    for i in range(4):
        e.submit(job(i, [*shared, 200 + i], 1))
    done = drain(e)
    assert backend.computed == 40 + 4
    assert [done[i].started for i in range(4)] == [0, 40, 40, 40]
    assert done[3].timings is not None
    assert (done[3].timings.cache_n, done[3].timings.prompt_n) == (40, 1)


def test_a_long_prompt_does_not_hold_up_a_short_one() -> None:
    e = engine(FakeBackend(limits=Limits(cells=4096, slots=8, batch=64, rows=16)))
    e.submit(job(1, [1] * 2000, 1))
    e.step()
    e.submit(job(2, [2] * 20, 1))
    updates = e.step()
    assert next(u for u in updates if u.id == 2).finished == "length"


def test_decodes_go_on_while_a_prompt_is_computed() -> None:
    e = engine()
    e.submit(job(1, [1, 2, 3], 40))
    e.step()
    e.submit(job(2, [9] * 300, 1))
    produced = [sum(len(u.tokens) for u in e.step() if u.id == 1) for _ in range(10)]
    assert produced == [1] * 10


def test_the_step_keeps_to_its_budget() -> None:
    sizes: list[tuple[int, int]] = []

    def record(batch: Batch) -> None:
        decodes = sum(1 for c in batch if c.rows == 1 and len(c.tokens) == 1)
        sizes.append((decodes, sum(len(c.tokens) for c in batch)))

    e = engine(FakeBackend(before_decode=record))
    for i in range(6):
        e.submit(job(i, [i] * 150, 10))
    drain(e)
    assert max(total for _, total in sizes) == 64
    assert all(total <= 64 for _, total in sizes)
    assert all(total - decodes <= 16 + 4 for decodes, total in sizes if decodes)


def test_interactive_goes_before_batch() -> None:
    e = engine(parallel=1)
    for i in range(3):
        e.submit(job(i, [i, 1], 4, priority="batch"))
    e.submit(job(9, [9, 1], 4))
    finished = []
    while e.busy:
        finished += [u.id for u in e.step() if u.finished]
    assert finished == [9, 0, 1, 2]


def test_batch_work_steps_back_when_someone_waits_and_loses_nothing() -> None:
    e = engine(parallel=2)
    for i in range(2):
        e.submit(job(i, [i, 1], 30, priority="batch"))
    for _ in range(5):
        e.step()
    e.submit(job(9, [9, 1], 3))
    finished = []
    tokens: dict[int, list[int]] = {0: alone([0, 1], 5), 1: alone([1, 1], 5), 9: []}
    while e.busy:
        for update in e.step():
            tokens[update.id] += update.tokens
            finished += [update.id] if update.finished else []
    assert finished[0] == 9
    assert tokens[0] == alone([0, 1], 30)
    assert tokens[1] == alone([1, 1], 30)
    assert e.counters.preemptions == 1


def test_cancel_takes_effect_before_the_next_step_and_keeps_the_work() -> None:
    backend = FakeBackend()
    e = engine(backend)
    e.submit(job(1, list(range(30)), 50))
    e.step()
    e.cancel(1)
    e.cancel(1)
    assert not e.busy
    e.submit(job(2, list(range(30)), 1))
    assert drain(e)[2].started == 29


def test_cancel_of_one_that_waits() -> None:
    e = engine(parallel=1)
    e.submit(job(1, [1], 3))
    e.submit(job(2, [2], 3))
    e.step()
    e.cancel(2)
    assert set(drain(e)) == {1}


def test_stop_tokens_end_a_sequence() -> None:
    prompt = [5, 6, 7]
    answer = alone(prompt, 30)
    e = engine()
    e.submit(job(1, prompt, 30, stop_tokens=frozenset({answer[6]})))
    update = drain(e)[1]
    assert update.finished == "stop"
    assert update.tokens == answer[: answer.index(answer[6]) + 1]


def test_the_queue_is_bounded() -> None:
    e = engine(queue=3)
    for i in range(3):
        e.submit(job(i, [i], 1))
    with pytest.raises(QueueFull) as caught:
        e.submit(job(4, [4], 1))
    assert caught.value.retry_after_s >= 1
    assert set(drain(e)) == {0, 1, 2}


def test_refused_parameters_leave_nothing_behind() -> None:
    e = engine()
    with pytest.raises(RequestError):
        e.submit(job(1, [1], 1, SamplingParams(logit_bias={10**6: 1.0})))
    assert not e.busy


def test_deadlines_end_running_and_waiting_sequences() -> None:
    clock = Clock()
    e = engine(parallel=1, clock=clock)
    e.submit(job(1, [1], 1000, deadline=1.0))
    e.submit(job(2, [2], 3, deadline=1.0))
    e.submit(job(3, [3], 3))
    e.step()
    clock.now = 2.0
    done = drain(e)
    assert isinstance(done[1].error, DeadlineExceeded)
    assert "waited" in str(done[2].error)
    assert done[3].finished == "length"


def test_a_failed_decode_fails_its_batch_and_nothing_else() -> None:
    failing = True

    def fail(batch: Batch) -> None:
        if failing:
            raise BackendError("the library failed")

    backend = FakeBackend(before_decode=fail)
    e = engine(backend)
    e.submit(job(1, [1, 2], 3))
    updates = e.step()
    assert [type(u.error) for u in updates] == [BackendError]
    assert not e.busy and e.cache.resident == 0
    failing = False
    e.submit(job(2, [1, 2], 3))
    assert drain(e)[2].tokens == alone([1, 2], 3)


def test_logprobs_come_with_every_token() -> None:
    e = engine()
    e.submit(job(1, [1, 2], 4, logprobs=2))
    update = drain(e)[1]
    assert len(update.scores) == 4
    for token, (own, top) in zip(update.tokens, update.scores, strict=True):
        assert top[0] == (token, own)
        assert len(top) == 2 and top[0][1] > top[1][1]


def test_timings_follow_the_clock() -> None:
    e = engine(parallel=1)
    e.submit(job(1, [1, 2, 3], 5))
    e.submit(job(2, [4, 5], 2))
    done = drain(e)
    first, second = done[1].timings, done[2].timings
    assert first is not None and second is not None
    assert (first.prompt_n, first.predicted_n, second.predicted_n) == (3, 5, 2)
    assert 0 < first.prompt_ms < first.predicted_ms
    assert second.queue_ms > first.prompt_ms + first.predicted_ms


class Oracle(NoProposer):
    """Drafts the right continuation, but for every `wrong`-th token; hears the lifecycle."""

    def __init__(self, length: int, wrong: int) -> None:
        self.length, self.wrong = length, wrong
        self.open: set[int] = set()
        self.accepted = 0

    def admit(self, sequence: Sequence) -> None:
        assert sequence.id not in self.open
        self.open.add(sequence.id)

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        drafts = {}
        for s in sequences:
            assert s.id in self.open
            draft = alone(s.tokens, min(self.length, max(rows, 0)))
            rows -= len(draft)
            drafts[s.id] = [0 if (s.generated + i) % self.wrong == 0 else t for i, t in enumerate(draft)]
        return drafts

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        assert accepted <= drafted
        self.accepted += accepted

    def release(self, sequence: Sequence) -> None:
        self.open.remove(sequence.id)


@given(st.integers(1, 12), st.integers(2, 9), st.sampled_from([4096, 400, 150]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_drafts_change_the_steps_and_never_the_text(length: int, wrong: int, cells: int, sampled: bool) -> None:
    params = SamplingParams(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0) if sampled else GREEDY
    jobs = [job(j.id, list(j.prompt), j.max_tokens, params, logprobs=1) for j in random_jobs(8, seed=length)]
    oracle = Oracle(length, wrong)
    limits = Limits(cells=cells, slots=8, batch=64, rows=16)
    texts, scores = [], []
    for proposer in (oracle, None):
        e = engine(FakeBackend(limits=limits), proposer=proposer)
        for j in jobs:
            e.submit(j)
        done = drain(e)
        texts.append({i: u.tokens for i, u in done.items()})
        scores.append({i: u.scores for i, u in done.items()})
    assert texts[0] == texts[1]
    assert scores[0] == scores[1]
    assert oracle.accepted > 0 and not oracle.open


def test_a_stop_token_inside_a_draft_ends_there() -> None:
    prompt = [5, 6, 7]
    answer = alone(prompt, 30)
    e = engine(proposer=Oracle(10, wrong=1000))
    e.submit(job(1, prompt, 30, stop_tokens=frozenset({answer[7]})))
    update = drain(e)[1]
    assert update.tokens == answer[: answer.index(answer[7]) + 1]
    assert update.finished == "stop"


def test_nobody_at_a_keyboard_waits_for_batch_work_that_begins_alike() -> None:
    e = engine(FakeBackend(limits=Limits(cells=4096, slots=8, batch=64, rows=16)))
    e.submit(job(1, [1] * 2000, 1, priority="batch"))
    e.step()
    for id, priority in ((2, "batch"), (3, "interactive")):
        e.submit(job(id, [1] * 500, 1, priority=priority))
    assert [u.id for u in e.step() if u.started is not None] == [3]
