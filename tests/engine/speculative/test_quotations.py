"""Answers that end with what they quote, where nobody knew that they would be so short."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from functools import partial

import pytest

from edgellm.engine.speculative.loss_account import SHARE
from tests.doubles.timed_engine import CURVES, TimedEngine
from tests.engine.speculative.test_adaptive import job, text


@pytest.mark.parametrize("curve", CURVES)
def test_a_passage_that_is_quoted_and_no_more_loses_next_to_nothing(curve: str) -> None:
    """The copy breaks off where the answer ends, and nobody knew that it would be so short."""
    source = text(300)
    for length in (6, 12, 20, 28, 40, 80):
        timed = TimedEngine(CURVES[curve], partial(quoting, source[:length]))
        timed.calibrate()
        timed.run([job(1, [*source, 10], 300)])
        # Its prompt is known from before, so that the answer is all the time there is.
        timings = timed.run([job(2, [*source, 10], 300, stop_tokens=frozenset({1}))])[2].timings
        assert timings is not None and timings.predicted_n == length + 1
        assert timings.draft_risked_ms <= SHARE * (timings.prompt_ms + timings.predicted_ms) + 0.1, length


def quoting(passage: list[int], history: Seq[int]) -> int:
    """Writes `passage` after the prompt's end (token 10), and ends."""
    end = max(at for at, token in enumerate(history) if token == 10)
    return [*passage, 1][min(len(history) - end - 1, len(passage))]
