"""Counts of several choices and prompts add up the way OpenAI's bills do."""

from __future__ import annotations

import pytest

from edgellm.events import Finished, Timings, Usage
from edgellm.server.tally import Tally


def finish(choice: int, usage: Usage, timings: Timings = Timings()) -> Finished:  # noqa: B008 (frozen)
    return Finished("stop", usage, timings, choice=choice)


def test_a_prompt_counts_once_however_many_choices() -> None:
    tally = Tally(n=2, prompts=2)
    for choice, usage in enumerate([Usage(10, 3, 4), Usage(10, 5, 10), Usage(7, 1, 0), Usage(7, 2, 7)]):
        assert not tally.complete
        tally.add(finish(choice, usage))
    assert tally.complete
    assert tally.usage() == {
        "prompt_tokens": 17,
        "completion_tokens": 11,
        "total_tokens": 28,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


def test_thoughts_are_counted_where_there_were_any() -> None:
    tally = Tally(n=2)
    tally.add(finish(0, Usage(5, 9, 0, 4)))
    tally.add(finish(1, Usage(5, 3, 0, 2)))
    assert tally.usage()["completion_tokens_details"] == {"reasoning_tokens": 6}


def test_timings() -> None:
    tally = Tally(n=1)
    tally.add(finish(0, Usage(), Timings(cache_n=1, prompt_n=4, prompt_ms=8, predicted_n=11, predicted_ms=50)))
    timings = tally.timings()
    assert timings["prompt_per_token_ms"] == pytest.approx(2)
    assert timings["predicted_per_second"] == pytest.approx(200)
    assert timings["predicted_per_token_ms"] == pytest.approx(5)


def test_drafts_are_named_as_llama_server_does_and_only_where_there_were_any() -> None:
    tally = Tally(n=2)
    tally.add(finish(0, Usage(), Timings(draft_n=5, draft_n_accepted=3)))
    assert (tally.timings()["draft_n"], tally.timings()["draft_n_accepted"]) == (5, 3)
    tally.add(finish(1, Usage(), Timings(draft_n=2, draft_n_accepted=2)))
    assert (tally.timings()["draft_n"], tally.timings()["draft_n_accepted"]) == (7, 5)


def test_nothing_measured_gives_zeros() -> None:
    tally = Tally(n=1)
    tally.add(finish(0, Usage()))
    assert set(tally.timings().values()) == {0}
