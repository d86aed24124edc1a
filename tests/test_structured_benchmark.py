"""Tests of the structured benchmark's pairing and judgement; nothing is measured."""

from __future__ import annotations

import jsonschema
import pytest

from scripts.benchmarks.structured import SCHEMA, Answer, row


def answered(how: str, decode_ms: float, *, town: str = "a", sampling: str = "greedy", round: int = 0) -> Answer:
    return Answer(town, sampling, how, round, 101, decode_ms)


def test_answers_are_compared_with_their_own_town_and_round() -> None:
    answers = [answered("schema", 1000), answered("free", 1000), answered("schema", 500, round=1)]
    answers += [answered("free", 250, round=1), answered("free", 1, sampling="sampled")]
    found = row(answers, "greedy")
    assert found.ratio is not None
    assert found.ratio.median == pytest.approx(0.75)
    assert found.met is False and "NO" in found.cells()


def test_what_keeps_its_speed_is_met() -> None:
    found = row([answered("schema", 1010), answered("free", 1000)], "greedy")
    assert found.met is True and found.ours == "99.0 tok/s" and found.theirs == "100.0 tok/s without"


def test_nothing_measured_is_not_judged() -> None:
    assert row([], "sampled").met is None


def test_the_schema_is_sound_and_asks_for_a_long_answer() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid({"sights": [], "summary": ""})
