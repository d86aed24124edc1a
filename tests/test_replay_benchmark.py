"""Replayed answers: a copy gains what the curve allows, and new text loses no more than its share."""

from __future__ import annotations

import random

from scripts.benchmarks.replay import Recorded, Replay, Replayed, rows_of

STEPS = {1: 20.0, 2: 22.0, 4: 24.0, 8: 28.0, 16: 36.0, 32: 50.0, 64: 80.0}
PIECES = [b"%d " % token for token in range(1000)]


def _text(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(1000), k=length)


def test_a_copy_gains_and_new_text_loses_next_to_nothing() -> None:
    replay, source = Replay(STEPS, PIECES), _text(1, 300)
    copied = replay.answer(1, Recorded("a", "copy", [*source, 7], source, 900))
    fresh = replay.answer(2, Recorded("b", "chat", _text(2, 300), _text(3, 300), 900))
    # Sixty-four rows cost four steps, and the first tokens are needed to see that it is a copy.
    assert 4 < copied.speedup < 16 and copied.lost == 0
    assert 0.99 <= fresh.speedup < 1.001 and fresh.lost <= 0.01


def test_what_it_says_of_an_answer_is_the_same_every_time() -> None:
    source = _text(1, 200)
    again = [Replay(STEPS, PIECES).answer(1, Recorded("a", "copy", source, source[20:], 900)) for _ in range(2)]
    assert again[0] == again[1]


def test_the_table_judges_every_kind_by_its_mark() -> None:
    rows = rows_of([Replayed("a", "json copy", 1.9, 0.0), Replayed("b", "chat", 0.995, 0.011)])
    assert [row.met for row in rows] == [False, True, True, False]
