"""Makes a conversation fit the context in the way that its user chose; until one is chosen, says what can be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from edgellm.model import Model
from edgellm.request import Conversation
from tui import context_plan, counting, side_requests
from tui.counting import Prompt
from tui.notices import Meter, Offer
from tui.store import cuts
from tui.store.records import Entry, Options
from tui.store.store import Store


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt` None: it does not fit, and one of `offers` must be chosen; `meter` None: it could not be counted."""

    prompt: Prompt | None
    meter: Meter | None
    offers: tuple[Offer, ...] = ()


class Fitting:
    """`changed` is called when the writing of a summary begins or ends."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed
        self._summing: asyncio.Task[str] | None = None

    @property
    def running(self) -> bool:
        """Whether a summary is being written."""
        return self._summing is not None

    async def prompt(self, model: Model, options: Options, path: tuple[Entry, ...]) -> Prompt:
        """Of a branch, after the last cut that was chosen for it."""
        cut = await self._store.read(cuts.latest, [entry.id for entry in path])
        return Prompt(model, path, options, cut)

    async def fit(self, model: Model, options: Options, path: tuple[Entry, ...]) -> Fit:
        """A window that was chosen slides on by itself; anything else is offered. Raises EdgeLLMError."""
        prompt = await self.prompt(model, options, path)
        meter = await counting.meter_or_none(prompt)
        if meter is None or not meter.full:
            return Fit(prompt=prompt, meter=meter)
        offers = await prompt.offers(meter)
        window = next((offer for offer in offers if offer.kind == "window"), None)
        if options.overflow != "window" or window is None:
            return Fit(prompt=None, meter=meter, offers=offers)
        await self._store.write(cuts.add, window.first)
        prompt = await self.prompt(model, options, path)
        return Fit(prompt=prompt, meter=await counting.meter_or_none(prompt))

    async def summary(self, offer: Offer, model: Model, options: Options, path: tuple[Entry, ...]) -> str | None:
        """The summary that `offer` needs; None if it was stopped. Raises EdgeLLMError, also where none was written."""
        return await self._summary(model, (await self.prompt(model, options, path)).before(offer.left_out))

    def stop(self) -> None:
        """Give up the summary that is being written."""
        if self._summing is not None:
            self._summing.cancel()

    async def _summary(self, model: Model, before: Conversation) -> str | None:
        length = context_plan.summary_length(model.info.context_length)
        task = self._summing = asyncio.create_task(side_requests.summary(model, before, length))
        self._changed()
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._summing = None
            self._changed()
        return None if task.cancelled() else task.result()
