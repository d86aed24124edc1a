"""Grammars in the engine: whatever the model wants and however it is scheduled, only what is allowed comes out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence as Seq
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from llguidance import LLMatcher

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.fake import ByteVocabulary, FakeBackend, hashed
from edgellm.engine.engine import Engine
from edgellm.engine.grammar import Grammar, GrammarTokens
from edgellm.engine.scheduler import Budget
from edgellm.engine.sequence import Job, Update
from edgellm.engine.speculative.draft_model import DraftModel
from edgellm.errors import RequestError
from edgellm.request import GREEDY, SamplingParams
from tests.doubles.eager_drafts import EagerDrafts

TOKENS = GrammarTokens(ByteVocabulary())
ENDS = ByteVocabulary.end_tokens
HOT = SamplingParams(temperature=5.0, top_k=0, top_p=1.0, min_p=0.0)
COLD = SamplingParams(temperature=0.7)
REGEXES = (r"[a-f]{3}-[0-9]{2}", r"(yes|no|perhaps)(, (yes|no))*", r"a*b", r"(ab|abc|abcd)*x", r"[à-ü]{2,5}!")


def of_regex(regex: str) -> Grammar:
    return Grammar(LLMatcher.grammar_from_regex(regex), TOKENS)


def of_schema(schema: dict[str, Any]) -> Grammar:
    return Grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema)), TOKENS)


def wild(seed: int) -> Callable[[Seq[int]], int]:
    """Any token at all, control tokens among them, fixed by what was written."""
    return lambda history: random.Random(hash((seed, tuple(history)))).randrange(len(ByteVocabulary()))


def engine(script: Callable[[Seq[int]], int], drafts: bool = False, cells: int = 4096, **options: Any) -> Engine:
    limits = Limits(cells=cells, slots=8, batch=64, rows=32)
    ticks = (i / 1000 for i in range(10**9))
    drafter = EagerDrafts(DraftModel(FakeBackend(script), 260, clock=lambda: next(ticks))) if drafts else None
    budget = Budget(batch=64, rows=32, beside=16, parallel=4, queue=100)
    backend = FakeBackend(script, limits=limits, **options)
    return Engine(backend, clock=lambda: next(ticks), budget=budget, proposer=drafter)


def job(id: int, grammar: Grammar | None, params: SamplingParams = GREEDY, n: int = 40, **options: Any) -> Job:
    stops = options.pop("stop_tokens", ENDS)
    prompt = options.pop("prompt", [1, 2, 3, id % 256])
    return Job(
        id=id, prompt=prompt, params=params, seed=id, max_tokens=n, stop_tokens=stops, grammar=grammar, **options
    )


def run(e: Engine, jobs: list[Job]) -> dict[int, Update]:
    for each in jobs:
        e.submit(each)
    whole = {each.id: Update(each.id) for each in jobs}
    while e.busy:
        for update in e.step():
            total = whole[update.id]
            total.tokens += update.tokens
            total.scores += update.scores
            total.finished, total.error = update.finished or total.finished, update.error or total.error
    return whole


def text(update: Update) -> str:
    assert update.error is None
    return bytes(token for token in update.tokens if token not in ENDS).decode("utf-8", "ignore")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    regex=st.sampled_from(REGEXES),
    params=st.sampled_from([GREEDY, HOT, COLD]),
    drafts=st.booleans(),
    cells=st.sampled_from([4096, 120]),
)
def test_only_what_the_grammar_allows_is_ever_written(
    seed: int, regex: str, params: SamplingParams, drafts: bool, cells: int
) -> None:
    e = engine(wild(seed), drafts, cells)
    done = run(e, [job(i, of_regex(regex), params) for i in range(5)])
    for update in done.values():
        assert update.finished == "length" or re.fullmatch(regex, text(update))
        checker = LLMatcher(TOKENS.tokenizer, LLMatcher.grammar_from_regex(regex))
        written = [token for token in update.tokens if token not in ENDS]
        assert checker.try_consume_tokens(written) == len(written)
        assert len(update.tokens) - len(written) == (update.tokens[-1] in ENDS)


@pytest.mark.parametrize("params", [GREEDY, HOT, COLD], ids=["greedy", "hot", "cold"])
@pytest.mark.parametrize("cells", [4096, 120], ids=["roomy", "preempting"])
def test_drafts_and_preemption_change_nothing(params: SamplingParams, cells: int) -> None:
    grammar = of_schema({"type": "array", "items": {"type": "integer"}, "minItems": 8})

    def texts(drafts: bool, cells: int) -> tuple[dict[int, list[int]], Engine]:
        e = engine(hashed, drafts, cells)
        jobs = [job(i, grammar if i % 2 else None, params) for i in range(8)]
        return {id: update.tokens for id, update in run(e, jobs).items()}, e

    plain, _ = texts(drafts=False, cells=4096)
    drafted, e = texts(drafts=True, cells=cells)
    assert drafted == plain
    assert e.counters.drafted > 0
    assert e.counters.preemptions > 0 or cells > 120


def test_drafts_that_the_grammar_refuses_are_not_computed() -> None:
    e = engine(lambda history: 65, drafts=True)
    done = run(e, [job(1, of_regex("[0-9]{30}"))])
    assert re.fullmatch("[0-9]{30}", text(done[1]))
    assert e.counters.drafted == 0


def test_the_end_is_allowed_only_where_the_grammar_may_end() -> None:
    always_ends = 259
    done = run(engine(lambda history: always_ends), [job(1, of_regex("abc(def)?"))])
    assert done[1].tokens == [*b"abc", always_ends]


def test_what_cannot_go_on_ends_without_an_end_token() -> None:
    done = run(engine(wild(1)), [job(1, of_regex("abc"))])
    assert (done[1].tokens, done[1].finished) == ([*b"abc"], "stop")


def test_without_end_tokens_it_ends_where_nothing_can_follow() -> None:
    done = run(engine(lambda history: 98), [job(1, of_regex("ab{2,4}"), stop_tokens=frozenset())])
    assert (done[1].tokens, done[1].finished) == ([*b"abbbb"], "stop")


def test_a_stop_token_of_the_caller_waits_for_the_grammar() -> None:
    stop = ord("b")
    done = run(engine(lambda history: stop), [job(1, of_regex("a+(cb+)?"), stop_tokens=ENDS | {stop})])
    assert done[1].tokens == [ord("a"), stop]


def test_log_probabilities_are_those_of_the_model() -> None:
    e = engine(lambda history: 120)
    done = run(e, [job(1, of_regex("a{6}"), logprobs=1)])
    assert [best[0][0] for _, best in done[1].scores] == [120] * 6
    assert all(own < best[0][1] for own, best in done[1].scores)


def test_a_bias_against_all_that_is_allowed_is_said() -> None:
    params = SamplingParams(temperature=0.0, logit_bias={ord("a"): -np.inf})
    done = run(engine(hashed), [job(1, of_regex("a"), params)])
    assert isinstance(done[1].error, RequestError)


def test_penalties_choose_among_what_is_allowed() -> None:
    params = SamplingParams(temperature=0.0, presence_penalty=2.0, frequency_penalty=2.0)
    done = run(engine(lambda history: 97), [job(1, of_regex("[ab]{20}"), params)])
    assert {97, 98} == set(done[1].tokens)


def test_a_backend_that_cannot_trim_is_served_too() -> None:
    e = engine(wild(3), capabilities=Capabilities(copy=False, trim=False, ragged=False))
    done = run(e, [job(i, of_regex(REGEXES[i]), HOT) for i in range(5)])
    assert all(re.fullmatch(REGEXES[i], text(u)) or u.finished == "length" for i, u in done.items())


@pytest.mark.parametrize(
    "source",
    [
        LLMatcher.grammar_from_regex("("),
        LLMatcher.grammar_from_lark("start: missing"),
        LLMatcher.grammar_from_lark("not a grammar at all"),
        LLMatcher.grammar_from_json_schema('{"enum": []}'),
        "",
    ],
)
def test_what_cannot_be_compiled_is_a_request_error(source: str) -> None:
    with pytest.raises(RequestError, match="grammar"):
        Grammar(source, TOKENS).start(())


class Spaced(ByteVocabulary):
    """Puts a space before every text, as SentencePiece does."""

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        return super().tokenize(" " + text, special=special, add_bos=add_bos)


class Endless(ByteVocabulary):
    end_tokens = frozenset()
    eos = None

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        return (self.piece(token, special=special) for token in range(len(self)))


@pytest.mark.parametrize("vocabulary", [Spaced(), Endless()], ids=["spaced", "endless"])
def test_vocabularies_with_ways_of_their_own(vocabulary: ByteVocabulary) -> None:
    grammar = Grammar(LLMatcher.grammar_from_regex("(only|onto) this"), GrammarTokens(vocabulary))
    done = run(engine(wild(5)), [job(1, grammar, stop_tokens=vocabulary.end_tokens)])
    assert text(done[1]) in ("only this", "onto this")
    assert done[1].finished == "stop"


def test_a_mask_has_a_place_for_every_token() -> None:
    state = of_regex("[0-9]|zz").start(ENDS)
    allowed = state.mask()
    assert allowed.shape == (len(ByteVocabulary()),)
    assert set(np.flatnonzero(allowed)) == {*b"0123456789z"}
    assert all(state.allows(token) == allowed[token] for token in range(260))
    state.advance(ord("z"))
    assert not state.ended and state.agreeing([ord("z"), 259, ord("z")]) == 2
    state.advance(ord("z"))
    assert state.ended


def test_beyond_the_limits_of_a_step_the_answer_fails_and_says_why() -> None:
    many = range(900)
    rules = "\n".join(f'r{i}: "a"*' for i in many)
    grammar = Grammar(LLMatcher.grammar_from_lark(f"start: {' '.join(f'r{i}?' for i in many)}\n{rules}"), TOKENS)
    done = run(engine(lambda history: 97, drafts=True), [job(1, grammar), job(2, None, n=5)])
    assert isinstance(done[1].error, RequestError) and "complex" in str(done[1].error)
    assert done[2].error is None and len(done[2].tokens) == 5
