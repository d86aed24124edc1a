"""The engine with prompts kept in host memory: the same text, and less of it computed."""

from __future__ import annotations

import pytest

from edgellm.backends.base import Limits
from edgellm.backends.fake import FakeBackend
from edgellm.engine.sequence import Update
from tests.engine.test_engine import alone, drain, engine, job, random_jobs


@pytest.mark.parametrize("memory", [2000, 10**6])
def test_text_is_the_same_with_prompts_kept_beside_the_kv(memory: int) -> None:
    jobs = random_jobs(60, seed=3)
    e = engine(FakeBackend(limits=Limits(cells=600, slots=6, batch=64, rows=16)), prefix_memory=memory)
    done: dict[int, Update] = {}
    for start in range(0, 60, 4):
        for j in jobs[start : start + 4]:
            e.submit(j)
        done |= drain(e)
        while e.tidy():
            pass
    assert {i: u.tokens for i, u in done.items()} == {j.id: alone(list(j.prompt), j.max_tokens) for j in jobs}


def test_a_conversation_that_others_pushed_out_is_not_computed_again() -> None:
    e = engine(FakeBackend(limits=Limits(cells=1000, slots=6, batch=64, rows=16)), prefix_memory=10**6)
    e.submit(job(1, [1] * 300, 4))
    first = drain(e)[1]
    e.submit(job(2, [2] * 300, 4))
    drain(e)
    e.submit(job(3, [*[1] * 300, *first.tokens, 5], 4))
    assert drain(e)[3].started == 303, "all but the token that ended the answer, which was never computed"
