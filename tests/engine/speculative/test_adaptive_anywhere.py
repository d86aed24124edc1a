"""The measuring proposer on machines of any kind: whatever it decides, the texts are those of plain decoding."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import FakeBackend, Script
from edgellm.engine.sequence import Job, Update
from edgellm.errors import BackendError
from edgellm.request import GREEDY
from tests.doubles.timed_engine import CURVES, TimedEngine
from tests.engine.speculative.test_adaptive import copier, mostly, text

_STEPS = 4000


def jobs(chance: random.Random, source: list[int]) -> list[Job]:
    return [
        Job(
            id=id,
            prompt=[*source[: chance.randrange(1, len(source))], *text(chance.randrange(5), id), 10],
            params=GREEDY,
            seed=id,
            max_tokens=chance.randrange(1, 90),
            speculation=chance.choice(["auto", "auto", "ngram", "draft", "off"]),
        )
        for id in range(chance.randrange(1, 10))
    ]


def unsteady(timed: TimedEngine, backend: FakeBackend, chance: random.Random, fails: float) -> Callable[[Batch], None]:
    """What `backend` does before a decode, with stalls, and failing now and then."""
    spend = backend._before_decode

    def before(batch: Batch) -> None:
        spend(batch)
        if chance.random() < 0.05:
            timed.clock.now += chance.random()
        if chance.random() < fails:
            raise BackendError("out of memory")

    return before


def run(timed: TimedEngine, wanted: list[Job], cancelled: dict[int, int]) -> dict[int, list[int]]:
    """Jobs come one every third step; `cancelled` says at which step which of them goes."""
    waiting, texts = list(reversed(wanted)), {job.id: list[int]() for job in wanted}
    for step in range(_STEPS):
        if waiting and step % 3 == 0:
            timed.engine.submit(waiting.pop())
        if step in cancelled:
            timed.engine.cancel(cancelled[step])
        updates: list[Update] = timed.engine.step()
        for update in updates:
            assert update.error is None
            texts[update.id] += update.tokens
        timed.engine.tidy()
        if not waiting and not timed.engine.busy:
            return texts
    raise AssertionError("it goes on for ever")


@given(
    st.sampled_from(sorted(CURVES)),
    st.sampled_from([4096, 500, 260]),
    st.sampled_from([64, 128, 512]),
    st.floats(0, 0.3),
    st.floats(0, 1),
    st.sampled_from([0.1, 1.0, 30.0]),
    st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    st.integers(0, 2**16),
)
@settings(max_examples=20, deadline=None)
def test_texts_are_those_of_plain_decoding_on_any_machine(
    curve: str, cells: int, batch: int, wrong: float, right: float, milliseconds: float, fails: float, seed: int
) -> None:
    chance = random.Random(seed)
    source = text(150, seed)
    script: Script = copier(source, wrong, seed)
    wanted = jobs(chance, source)
    cancelled = {chance.randrange(1, 200): job.id for job in wanted if chance.random() < 0.2}
    texts = []
    for plain in (True, False):
        timed = TimedEngine(
            CURVES[curve],
            script,
            limits=Limits(cells=cells, slots=8, batch=batch, rows=64),
            draft=(mostly(script, right), milliseconds),
            budget={"batch": batch, "rows": 64, "parallel": 6},
            plain=plain,
        )
        timed.calibrate()
        drafter = timed.proposer.drafter
        assert drafter is not None and isinstance(drafter.backend, FakeBackend)
        drafter.backend._before_decode = unsteady(timed, drafter.backend, random.Random(seed), fails)
        timed.backend._before_decode = unsteady(timed, timed.backend, random.Random(seed), 0.0)
        texts.append(run(timed, wanted, cancelled))
        timed.engine.cache.clear()
        assert not timed.proposer._watched and timed.engine.cache.resident == 0
    gone = set(cancelled.values())
    for job in wanted:
        plain_text, found = texts[0][job.id], texts[1][job.id]
        assert plain_text == found or (job.id in gone and plain_text[: len(found)] == found[: len(plain_text)])
