"""`AdvisedModel`: a model of this machine; where it is too large for it, the error names an upstream that has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from edgellm.config import Settings
from edgellm.errors import NotEnoughMemory
from edgellm.events import Event
from edgellm.model import Model, WrapperModel
from edgellm.request import ChatRequest
from edgellm.runtime import upstreams
from edgellm.runtime.upstream_lookout import Lookout


class AdvisedModel(WrapperModel):
    """Upstreams are asked, as far as `lookout` has not just seen them, when the error comes and not before."""

    def __init__(self, inner: Model, settings: Settings, lookout: Lookout) -> None:
        super().__init__(inner)
        self._settings = settings
        self._lookout = lookout

    async def start(self) -> None:
        try:
            await self.inner.start()
        except NotEnoughMemory as error:
            raise await self._advised(error) from None

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        try:
            async with aclosing(cast(AsyncGenerator[Event, None], self.inner.stream(request))) as events:
                async for event in events:
                    yield event
        except NotEnoughMemory as error:
            raise await self._advised(error) from None

    async def _advised(self, error: NotEnoughMemory) -> NotEnoughMemory:
        name = self.inner.info.name
        return await asyncio.to_thread(upstreams.too_large, error, name, self._settings, self._lookout)
