"""A conversation longer than the context: nothing is cut unless the user chose it, and a cut can be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from edgellm.events import Text
from tests.doubles.context_model import ContextModel, words
from tests.tui.talks import of, talk
from tui import notices
from tui.store.store import Store


async def outgrown(chat: Any) -> ContextModel:
    """A conversation of turns of 40 words; the context holds 200, a quarter kept for the answer."""
    model = ContextModel(Text("short"), context=200)
    await chat.use(model)
    turns = 0
    while not of(notices.Outgrown, chat) and turns < 9:
        await talk(chat, " ".join([f"turn{turns}"] * 40))
        turns += 1
    return model


async def test_nothing_is_cut_before_the_user_chose(chat: Any) -> None:
    model = await outgrown(chat)
    (notice,) = of(notices.Outgrown, chat)
    assert len(model.asked) == 3 and len(chat.path) == 7 and chat.path[-1].speaker == "user"
    assert notice.meter.used == 163 and notice.meter.full and notice.meter.reserve == 50
    kinds = {offer.kind: offer for offer in notice.offers}
    assert list(kinds) == ["drop", "window", "summary"] and chat.offers == notice.offers
    assert (kinds["drop"].left_out, kinds["drop"].used) == (2, 122)
    assert (kinds["window"].left_out, kinds["window"].used) == (4, 81)
    assert kinds["summary"].left_out == 4


async def test_dropping_is_once(chat: Any, store: Store) -> None:
    model = await outgrown(chat)
    await chat.choose(chat.offers[0])
    await chat.settled()
    asked = words(model.asked[-1].input)
    assert "turn0" not in asked and all(f"turn{number}" in asked for number in (1, 2, 3))
    assert chat.path[-1].reply.left_out == 2 and chat.meter.left_out == 2 and len(chat.path) == 8
    await talk(chat, " ".join(["later"] * 40))
    assert len(of(notices.Outgrown, chat)) == 2


async def test_a_window_slides_on_and_the_meter_shows_it(chat: Any) -> None:
    model = await outgrown(chat)
    await chat.choose(chat.offers[1])
    await chat.settled()
    await talk(chat, *(" ".join([f"later{number}"] * 40) for number in range(5)))
    assert len(of(notices.Outgrown, chat)) == 1 and chat.options.overflow == "window"
    assert max(len(words(request.input).split()) for request in model.asked) <= 150
    assert chat.meter.left_out > 4 and chat.path[-1].reply.left_out == chat.meter.left_out


async def test_a_summary_takes_the_place_of_what_came_before(chat: Any) -> None:
    model = await outgrown(chat)
    await chat.choose(chat.offers[2])
    await chat.settled()
    (told,) = of(notices.Summarized, chat)
    assert told.words == "the summary" and len(chat.path) == 7 and not chat.cut and chat.state == "idle"
    await chat.choose(told.offer, "my own summary")
    await chat.settled()
    asked = words(model.asked[-1].input)
    assert "my own summary" in asked and "turn1" not in asked and "turn2" in asked
    summary = next(request for request in model.requests if "summary of our" in words(request.input))
    assert "turn0" in words(summary.input) and "turn1" in words(summary.input) and "turn2" not in words(summary.input)
    assert chat.path[-1].text == "short" and chat.state == "idle"


@pytest.mark.parametrize("choice", [0, 1])
async def test_a_cut_can_be_taken_back(chat: Any, choice: int) -> None:
    model = await outgrown(chat)
    await chat.choose(chat.offers[choice])
    await chat.settled()
    assert chat.cut and chat.meter.left_out
    await chat.uncut()
    assert not chat.cut and chat.meter.left_out == 0 and chat.options.overflow == "ask"
    await talk(chat, "later")
    assert len(of(notices.Outgrown, chat)) == 2 and len(model.asked) == 4
