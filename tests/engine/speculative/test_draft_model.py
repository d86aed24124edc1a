"""The draft model on fake backends: what it drafts, what it computes for it, and what it gives back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence as Seq
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Batch
from edgellm.backends.fake import ByteVocabulary, FakeBackend, FakeRows, Script, hashed
from edgellm.engine.speculative.draft_model import Ask, Draft, DraftModel, DraftRound, first_difference
from edgellm.errors import BackendError


def drafter(backend: FakeBackend | None = None, size: int = 260, **options: Any) -> DraftModel:
    ticks = itertools.count()
    return DraftModel(backend or FakeBackend(), size, clock=lambda: float(next(ticks)), **options)


def small(**limits: int) -> FakeBackend:
    return FakeBackend(limits=Limits(**{"cells": 4096, "slots": 4, "batch": 64, "rows": 16, **limits}))


def always(id: int, draft: Draft) -> bool:
    return True


def after(tokens: list[int], count: int, script: Script = hashed) -> list[int]:
    tokens = list(tokens)
    for _ in range(count):
        tokens.append(script(tokens))
    return tokens[len(tokens) - count :]


def one(model: DraftModel, tokens: list[int], most: int, id: int = 1, **options: Any) -> list[int]:
    drafts = model.draft([Ask(id, tokens, most)], options.pop("go_on", always), **options).drafts
    return drafts[id].tokens if id in drafts else []


def test_it_drafts_what_its_backend_would_write() -> None:
    model = drafter()
    round = model.draft([Ask(1, [1, 2, 3], 5), Ask(2, [9, 9], 3), Ask(3, [4], 0)], always)
    assert {id: draft.tokens for id, draft in round.drafts.items()} == {1: after([1, 2, 3], 5), 2: after([9, 9], 3)}


def test_confidence_is_the_probability_of_the_best_token() -> None:
    class Even(FakeRows):
        def logits(self, row: int) -> Any:
            values = super().logits(row)
            values[:] = -50.0
            values[[self.argmax(row), 0, 1, 2]] = 3.0
            return values

    class EvenBackend(FakeBackend):
        def decode(self, batch: Batch) -> FakeRows:
            rows = super().decode(batch)
            rows.__class__ = Even
            return rows

    draft = drafter(EvenBackend()).draft([Ask(1, [1, 2], 2)], always).drafts[1]
    assert draft.confidence == pytest.approx([0.25, 0.25])


def test_what_was_accepted_is_not_computed_again() -> None:
    backend = FakeBackend()
    model = drafter(backend)
    tokens = list(range(100))
    draft = one(model, tokens, 6)
    assert backend.computed == 100 + 5  # the last one drafted is never computed
    tokens += [*draft[:4], 0]  # four came true, the target wrote another fifth
    assert model.lag(1, tokens) == 1
    assert one(model, tokens, 2) == after(tokens, 2)
    assert backend.computed == 105 + 1 + 1
    assert model.cache.length(0) == len(tokens) + 1


def test_all_accepted_leaves_two_to_compute() -> None:
    model = drafter(backend := FakeBackend())
    tokens = list(range(50))
    draft = one(model, tokens, 4)
    tokens += [*draft, hashed([*tokens, *draft])]
    assert model.lag(1, tokens) == 2
    before = backend.computed
    one(model, tokens, 1)
    assert backend.computed == before + 2


def test_drafts_that_were_never_verified_do_no_harm() -> None:
    model = drafter()
    tokens = [1, 2, 3]
    assert one(model, tokens, 4) == one(model, tokens, 4) == after(tokens, 4)
    tokens += after(tokens, 1)
    assert one(model, tokens, 4) == after(tokens, 4)


def test_the_rule_stops_it_early() -> None:
    seen: list[tuple[int, int]] = []

    def two(id: int, draft: Draft) -> bool:
        seen.append((id, len(draft.tokens)))
        assert len(draft.tokens) == len(draft.confidence)
        return len(draft.tokens) < id

    round = drafter().draft([Ask(2, [1], 8), Ask(3, [2], 8)], two)
    assert {id: len(draft.tokens) for id, draft in round.drafts.items()} == {2: 2, 3: 3}
    assert sorted(seen) == [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]


def test_nothing_is_drafted_behind_the_end() -> None:
    script: Script = lambda history: 257 if len(history) == 5 else 65  # noqa: E731
    assert one(drafter(FakeBackend(script)), [1, 2, 3], 8) == [65, 65, 257]


def test_ids_the_target_does_not_have_are_not_drafted() -> None:
    script: Script = lambda history: 259 if len(history) == 4 else 65  # noqa: E731
    assert one(drafter(FakeBackend(script), size=200), [1, 2, 3], 8) == [65]
    assert one(drafter(FakeBackend(lambda history: 259), size=200), [1, 2, 3], 8) == []


def test_ids_it_does_not_have_itself_are_not_fed() -> None:
    backend = FakeBackend()
    assert one(drafter(backend, size=1000), [1, 900, 3], 8) == []
    assert backend.computed == 0


def test_a_long_prompt_is_computed_in_the_pieces_allowed() -> None:
    model = drafter(backend := small())
    tokens = [i % 256 for i in range(300)]
    lags = []
    while not (draft := one(model, tokens, 3, prefill=100)):
        lags.append(model.lag(1, tokens))
        tokens.append(7)  # the target goes on meanwhile
    assert lags == [200, 101]
    assert draft == after(tokens, 3)
    assert backend.computed == len(tokens) + 2


def test_every_decode_is_reported_with_its_time() -> None:
    round = drafter(small()).draft([Ask(1, list(range(100)), 3), Ask(2, [1, 2], 1)], always, prefill=200)
    assert [(s.tokens, s.sequences, s.drafted) for s in round.steps] == [
        (64, 1, 0),
        (35, 1, 0),
        (3, 2, 2),
        (1, 1, 1),
        (1, 1, 1),
    ]
    assert round.seconds == sum(step.seconds for step in round.steps) > 0


def test_a_sequence_longer_than_its_context_is_left_alone() -> None:
    model = drafter(small(cells=32))
    assert model.lag(1, list(range(32))) is None
    assert one(model, list(range(32)), 4) == []
    assert one(model, list(range(30)), 9) == after(list(range(30)), 2)


def test_who_was_not_asked_for_longest_gives_up_its_cells() -> None:
    model = drafter(backend := small(cells=100))
    first, second, third = ([n] * 40 for n in (1, 2, 3))
    one(model, first, 2, id=1)
    one(model, second, 2, id=2)
    one(model, first, 2, id=1)
    assert one(model, third, 2, id=3) == after(third, 2)
    assert (model.lag(1, first), model.lag(2, second)) == (1, 40)
    assert backend.cells_used == model.cache.used <= 100


def test_more_sequences_than_slots_take_turns() -> None:
    model = drafter(small(slots=2))
    for id in range(5):
        assert one(model, [id, 1], 2, id=id) == after([id, 1], 2)
    served = model.draft([Ask(id, [id, 1], 2) for id in range(5)], always).drafts
    assert len(served) == 2


def test_no_cells_for_all_of_a_round_serves_some() -> None:
    model = drafter(backend := small(cells=100))
    round = model.draft([Ask(id, [id] * 40, 4) for id in range(4)], always, prefill=1000)
    assert {id: draft.tokens for id, draft in round.drafts.items()} == {id: after([id] * 40, 4) for id in (0, 1)}
    assert backend.cells_used == model.cache.used


def test_what_a_sequence_leaves_serves_the_next_turn() -> None:
    model = drafter(backend := FakeBackend())
    tokens = list(range(50))
    draft = one(model, tokens, 4)
    tokens += draft
    model.release(1)
    model.release(1)
    assert model.lag(2, [*tokens, 1, 2, 3]) == 4 + 1 - 1
    before = backend.computed
    one(model, [*tokens, 1, 2, 3], 1, id=2)
    assert backend.computed == before + 4


def test_nothing_is_kept_without_a_prefix_cache() -> None:
    model = drafter(backend := FakeBackend(), prefix_cache=False)
    one(model, list(range(50)), 4)
    model.release(1)
    assert backend.cells_used == model.cache.resident == 0


def test_a_failure_costs_the_draft_and_three_end_it() -> None:
    failing = True

    def fail(batch: Batch) -> None:
        if failing:
            raise BackendError("no memory")

    model = drafter(backend := FakeBackend(before_decode=fail))
    assert one(model, [1, 2], 3) == one(model, [1, 2], 3) == []
    assert backend.cells_used == model.cache.resident == 0
    failing = False
    assert one(model, [1, 2], 3) == after([1, 2], 3)
    failing = True
    for _ in range(3):
        assert one(model, [1, 2], 3) == []
    assert model.failure == "no memory"
    failing = False
    assert model.lag(1, [1, 2]) is None
    assert one(model, [1, 2], 3) == []


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_in_step_whatever_happens(data: st.DataObject) -> None:
    """Any mixture of asking, accepting, pausing and leaving: drafts are those of a drafter that starts afresh."""
    limits = Limits(
        cells=data.draw(st.sampled_from([80, 200, 4096])), slots=3, batch=data.draw(st.sampled_from([1, 5, 64])), rows=2
    )
    can = Capabilities(copy=data.draw(st.booleans()), ragged=data.draw(st.booleans()))
    backend = FakeBackend(limits=limits, capabilities=can)
    model, chance = drafter(backend), random.Random(data.draw(st.integers(0, 999)))
    live = {id: [chance.randrange(3) for _ in range(chance.randrange(1, 30))] for id in range(4)}
    fresh = itertools.count(4)
    for _ in range(30):
        asks = [Ask(id, live[id], chance.randrange(6)) for id in live if chance.random() < 0.7]
        drafts = model.draft(asks, lambda id, draft: chance.random() < 0.8, prefill=chance.choice([None, 0, 10])).drafts
        for id, tokens in live.items():
            draft = drafts.get(id, Draft()).tokens
            assert draft == after(tokens, len(draft)) if draft else True
            accepted = chance.randrange(len(draft) + 1)
            tokens += [*draft[:accepted], chance.randrange(3)]
        if chance.random() < 0.2:
            model.release(gone := chance.choice(list(live)))
            tokens = live.pop(gone)
            # Preempted sequences come back as they were, others are new.
            live[gone if chance.random() < 0.5 else next(fresh)] = tokens
        assert backend.cells_used == model.cache.used
    for id in live:
        model.release(id)
    model.cache.clear()
    assert backend.cells_used == 0


def test_vocabularies_are_compared_token_by_token() -> None:
    class Other(ByteVocabulary):
        def __init__(self, size: int, changed: int = -1) -> None:
            self._size, self._changed = size, changed

        def __len__(self) -> int:
            return self._size

        def piece(self, token: int, *, special: bool = False) -> bytes:
            if token == self._changed:
                return b"other"
            return super().piece(token, special=special) if token < 260 else b"[PAD]"

    same: Seq[ByteVocabulary] = (ByteVocabulary(), Other(260), Other(250), Other(300))
    assert [first_difference(ByteVocabulary(), other) for other in same] == [None] * 4
    assert first_difference(ByteVocabulary(), Other(260, 65)) == (65, b"A", b"other")
    assert first_difference(ByteVocabulary(), Other(260, 258)) == (258, b"<|im_start|>", b"other")


def test_an_empty_round_is_nothing() -> None:
    assert drafter().draft([], always) == DraftRound()
