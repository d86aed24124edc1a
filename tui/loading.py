"""The model in use and how far its loading is: started in the background, its failure kept as a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgellm.errors import EdgeLLMError
from edgellm.model import Model
from tui.notices import Noted


class Loading:
    """`changed` is called when the state changes; `model` is None until `use`. `tell` hears once what a model notes."""

    def __init__(self, changed: Callable[[], None], tell: Callable[[Noted], None]) -> None:
        self.model: Model | None = None
        self.error = ""
        self.ready = self.expected = False
        self._changed, self._tell = changed, tell
        self._noted: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    async def use(self, model: Model) -> None:
        """Load `model` in the background; what was loading is given up."""
        await self.give_up()
        self.model = model
        self.restart()

    def restart(self) -> None:
        assert self.model is not None
        self.error, self.ready = "", False
        self._task = asyncio.create_task(self._load(self.model))
        self._changed()

    async def give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def settled(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _load(self, model: Model) -> None:
        try:
            await model.start()
            self.ready = True
            for note in dict.fromkeys(model.info.notes):
                self._note(note)
        except EdgeLLMError as error:
            self.error = str(error)
        except Exception as error:  # a model is anything: whatever it raises must not take the app down
            self.error = f"The model could not be loaded: {error or type(error).__name__}."
        self._task = None
        self._changed()

    def _note(self, note: str) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self._tell(Noted(note))
