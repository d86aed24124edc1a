"""Forced runs: guessed where a grammar leaves no choice, given up where the model spells them in its own way."""

from __future__ import annotations

import json
from collections.abc import Sequence as Seq

from edgellm.engine.grammar import Grammar
from edgellm.engine.sequence import Job, Sequence
from edgellm.engine.speculative.acceptance import Acceptance
from edgellm.engine.speculative.forced import GROUPS, PRIORS, ForcedRun, merged
from edgellm.request import GREEDY
from tests.doubles.timed_engine import CURVES, TimedEngine
from tests.engine.test_grammar import of_schema

KEYS = [f"a_rather_long_key_{number}" for number in range(6)]
SCHEMA = {
    "type": "object",
    "properties": {key: {"type": "boolean"} for key in KEYS},
    "required": KEYS,
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
ANSWER = json.dumps(dict.fromkeys(KEYS, True), separators=(",", ":")).encode()


def writer(history: Seq[int]) -> int:
    place = len(history) - 3
    return ANSWER[place] if place < len(ANSWER) else 0


def job(grammar: Grammar | None = None) -> Job:
    return Job(id=1, prompt=[1, 2, 3], params=GREEDY, seed=1, max_tokens=len(ANSWER), grammar=grammar)


def test_what_a_grammar_forces_is_guessed_and_the_text_stays() -> None:
    found = []
    for plain in (True, False):
        timed = TimedEngine(CURVES["flat"], writer, plain=plain)
        timed.calibrate()
        found.append(timed.run([job(of_schema(SCHEMA))])[1])
    off, on = found
    assert on.tokens == off.tokens == list(ANSWER)
    assert on.timings is not None and off.timings is not None
    assert on.timings.draft_n_accepted > len(ANSWER) / 2
    assert on.timings.predicted_ms < off.timings.predicted_ms / 2
    assert timed.proposer.status().acceptance["grammar"] > 0.95


def test_a_model_that_spells_it_otherwise_is_soon_believed() -> None:
    acceptance = Acceptance(GROUPS, priors=PRIORS)
    sequence = Sequence(job(of_schema(SCHEMA)), 260, lambda: 0.0)
    run = ForcedRun(acceptance)
    (_, before), *_ = run.look(sequence)
    for _ in range(20):
        run.look(sequence)
        run.judge([999])
    (_, after), *_ = run.look(sequence)
    assert after < 0.3 < before


def test_a_copy_that_agrees_goes_on_behind_the_forced_run() -> None:
    forced = [(1, 0.8), (2, 0.8)]
    assert list(merged(forced, iter([(1, 0.4), (2, 0.95), (3, 0.5)]))) == [(1, 0.8), (2, 0.95), (3, 0.5)]
    assert list(merged(forced, iter([(1, 0.4), (7, 0.9), (3, 0.5)]))) == forced
    assert list(merged((), iter([(3, 0.5)]))) == [(3, 0.5)]
