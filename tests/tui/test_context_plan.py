"""Tests of `tui.context_plan`: the fewest messages are left out, found with few counts."""

from __future__ import annotations

import asyncio

from hypothesis import given, strategies as st

from tui import context_plan
from tui.notices import Meter
from tui.store.records import Entry

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=40)


def path_of(turns: int) -> list[Entry]:
    return [
        Entry(id=index + 1, chat=1, parent=index or None, speaker=("user", "assistant")[index % 2])
        for index in range(2 * turns - 1)
    ]


class Counts:
    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.asked = sizes, 0

    async def __call__(self, point: int) -> int:
        self.asked += 1
        return sum(self.sizes[point:])


@given(sizes, st.integers(0, 400))
def test_no_message_is_left_out_that_could_stay(sizes: list[int], room: int) -> None:
    counts, points = Counts(sizes), list(range(len(sizes)))
    found = asyncio.run(context_plan.fewest(points, counts, room))
    fitting = [point for point in points if sum(sizes[point:]) <= room]
    assert found == ((fitting[0], sum(sizes[fitting[0] :])) if fitting else None)
    assert counts.asked <= 6


@given(st.integers(1, 20), st.integers(1, 60), st.integers(20, 500), st.integers(0, 10))
def test_every_offer_fits_and_begins_with_a_question(turns: int, size: int, limit: int, before: int) -> None:
    path = path_of(turns)
    before = min(before, len(path) - 1)
    reserve = context_plan.reserve(limit, None)
    meter = Meter(used=size * len(path), limit=limit, reserve=reserve, left_out=before)
    counts = Counts([size] * len(path))
    offers = asyncio.run(context_plan.offers(path, meter, counts, counts))
    for offer in offers:
        assert offer.left_out > before and path[offer.left_out].speaker == "user"
        assert offer.used + reserve <= limit and offer.first == path[offer.left_out].id
    kinds = {offer.kind: offer.left_out for offer in offers}
    assert not offers or kinds["drop"] <= kinds["window"]
    last_fits = path[-1].id - 1 > before and size + reserve <= limit
    assert bool(offers) == last_fits


@given(st.integers(1, 2**20), st.none() | st.integers(1, 2**20))
def test_the_reserve_leaves_room_for_the_prompt(limit: int, asked: int | None) -> None:
    assert 0 <= context_plan.reserve(limit, asked) <= limit // 2
