"""Replayed answers: a copy gains what the curve allows, and new text loses no more than its share."""

from __future__ import annotations

import random

from scripts.benchmarks.replay import Machine, Recorded, Replay, Replayed, rows_of

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


def test_a_machine_that_stalls_ends_no_speculation() -> None:
    """A slow moment early in a request used to end it for the rest."""
    steps = {1: 50.0, 2: 52.0, 3: 68.0, 4: 76.0, 6: 95.0, 8: 130.0, 16: 256.0, 32: 453.0, 64: 978.0}
    source, found = _text(1, 300), []
    recorded = Recorded("a", "copy", source, source[20:120], 900)
    for seed in range(60):
        machine = Machine(scatter=0.1, stalls=0.02, chance=random.Random(seed))
        found.append(Replay(steps, PIECES, machine, new_prompts=False).answer(1, recorded))
    assert min(each.speedup for each in found) > 1.2
    assert max(each.lost for each in found) <= 0.01


def test_a_known_prompt_leaves_less_time_to_lose_from() -> None:
    source = _text(1, 300)
    recorded = Recorded("a", "copy", source, source[20:60], 900)
    dear = {1: 45.0, 2: 77.0, 4: 129.0, 8: 298.0, 16: 300.0, 64: 888.0}
    new, known = (Replay(dear, PIECES, new_prompts=each).answer(1, recorded) for each in (True, False))
    assert new.speedup > known.speedup >= 1.0
