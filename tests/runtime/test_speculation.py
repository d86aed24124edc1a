"""`LocalModel` guessing ahead on the fake backend: calibration in quiet moments, memory, and who may turn it off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edgellm.backends.base import Capabilities
from edgellm.backends.fake import FakeBackend, reply
from edgellm.config import ModelSettings
from edgellm.engine.speculative.acceptance import Record
from edgellm.engine.speculative.controller import Controller
from edgellm.events import Event, Finished, Text
from edgellm.model import ModelInfo
from edgellm.request import GREEDY, ChatRequest, ask
from edgellm.runtime.local_model import LocalModel
from edgellm.runtime.speculation import Forgetful

SAID = "the quick brown fox jumps over the lazy dog and runs away into the dark green forest. "
CHEAP = {1: 10.0, 4: 10.1, 16: 10.2, 64: 10.3}


class Notebook(Forgetful):
    """Remembers, and notes what it was told."""

    def __init__(self, known: Mapping[int, float] = {}) -> None:
        self.known = dict(known)
        self.told: list[dict[int, float]] = []
        self.records: dict[str, Record] = {}

    def read(self) -> dict[int, float]:
        return self.known

    def write(self, milliseconds: Mapping[int, float]) -> None:
        self.told.append(dict(milliseconds))

    def learned(self, proposer: str) -> Record | None:
        return self.records.get(proposer)

    def learn(self, proposer: str, record: Record) -> None:
        self.records[proposer] = Record(list(record.hits), list(record.tries))


@asynccontextmanager
async def opened(
    backend: FakeBackend | None = None, notebook: Notebook | None = None, **settings: Any
) -> AsyncIterator[LocalModel]:
    model = LocalModel(
        lambda: backend or FakeBackend(reply(SAID * 3)),
        ModelSettings(**settings),
        ModelInfo(name="fake"),
        remembered=notebook,
    )
    try:
        await model.start()
        yield model
    finally:
        await model.aclose()


async def answered(model: LocalModel, request: ChatRequest) -> tuple[str, Finished]:
    events: list[Event] = [event async for event in model.stream(request)]
    last = events[-1]
    assert isinstance(last, Finished)
    return "".join(event.text for event in events if isinstance(event, Text)), last


async def calibrated(model: LocalModel) -> bool:
    """Within five seconds."""
    for _ in range(500):
        if (await model.status()).speculation.state == "on":
            return True
        await asyncio.sleep(0.01)
    return False


async def test_it_calibrates_when_idle_and_keeps_what_it_found() -> None:
    notebook = Notebook()
    async with opened(notebook=notebook) as model:
        assert await calibrated(model)
        for _ in range(200):
            if notebook.told:
                break
            await asyncio.sleep(0.01)
        assert {1, 16} <= notebook.told[-1].keys()
        assert (await model.status()).cells_used == 0


async def test_what_an_earlier_process_found_serves_from_the_first_request_on() -> None:
    backend = FakeBackend(reply(SAID * 3))
    async with opened(backend, Notebook(CHEAP)) as model:
        assert (await model.status()).speculation.state == "on"
        text, finished = await answered(model, ask(SAID, sampling=GREEDY))
        assert text == SAID * 3
        assert finished.timings.predicted_n == len(text) + 1


async def test_what_was_learned_serves_the_next_process() -> None:
    notebook = Notebook(CHEAP)
    async with opened(notebook=notebook) as model:
        await answered(model, ask(SAID, sampling=GREEDY))
    learned = notebook.records["copies"]
    assert sum(learned.tries) > 20
    notebook.records["copies"] = Record([0.0] * len(learned.hits), [150.0] * len(learned.tries))
    async with opened(notebook=notebook) as model:
        _, finished = await answered(model, ask(SAID, sampling=GREEDY))
        taught = (await model.status()).speculation.acceptance["ngram"]
    assert finished.timings.draft_n == 0 or taught < 0.2


@pytest.mark.parametrize(("settings", "request_"), [({"speculation": "off"}, {}), ({}, {"speculation": "off"})])
async def test_settings_and_requests_can_turn_it_off(settings: dict[str, Any], request_: dict[str, Any]) -> None:
    async with opened(notebook=Notebook(CHEAP), **settings) as model:
        text, finished = await answered(model, ask(SAID, sampling=GREEDY, **request_))
        assert text == SAID * 3
        assert finished.timings.draft_n == 0
        assert (await model.status()).speculation.state == ("off" if settings else "on")


async def test_a_backend_that_cannot_go_back_goes_without() -> None:
    backend = FakeBackend(reply(SAID * 3), capabilities=Capabilities(trim=False))
    async with opened(backend, Notebook(CHEAP)) as model:
        text, finished = await answered(model, ask(SAID, sampling=GREEDY))
        assert text == SAID * 3 and finished.timings.draft_n == 0
        assert (await model.status()).speculation.state == "off"


async def test_stop_strings_end_an_answer_inside_a_guess() -> None:
    async with opened(notebook=Notebook(CHEAP)) as model:
        text, finished = await answered(model, ask(SAID, sampling=GREEDY, stop=("green",)))
        assert text == SAID[: SAID.index("green")]
        assert (finished.reason, finished.stop) == ("stop", "green")
        assert finished.timings.predicted_n <= len(text) + len("green")


async def test_an_error_in_guessing_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(Controller, "decide", decide)
    async with opened(notebook=Notebook(CHEAP)) as model:
        for _ in range(2):
            text, finished = await answered(model, ask(SAID, sampling=GREEDY))
            assert text == SAID * 3 and finished.timings.draft_n == 0
        status = (await model.status()).speculation
    assert status.state == "off" and "it failed (ZeroDivisionError" in status.reason
