"""Which model answers: opens the one that is wanted, hands it to the controller, closes the one before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgellm.config import Settings
from edgellm.model import Model
from tui.controller import Controller
from tui.opening import Opening, OpenModel, Progress


class ModelChoice:
    """`told` hears how far it is (None: over). The model in use goes on until the wanted one is there."""

    def __init__(
        self, controller: Controller, settings: Settings, open_model: OpenModel, told: Callable[[Progress | None], None]
    ) -> None:
        self._controller = controller
        self._settings = settings
        self._open_model = open_model
        self._told = told
        self._opening: Opening | None = None
        self._retired: list[Model] = []
        self.unused: Callable[[Model], Awaitable[None]] = _at_once
        """Returns when nobody else uses the model any more."""

    @property
    def opening(self) -> bool:
        return self._opening is not None

    async def take(self, name: str) -> bool:
        """Open the model `name` and use it; False if another was wanted meanwhile. Raises what opening it raises."""
        self.cancel()
        opening = self._opening = Opening(name, self._settings, self._progress, self._open_model)
        self._controller.expect(True)
        try:
            model = await opening.run()
        except Exception:
            if opening is not self._opening:
                return False
            self._over()
            self._controller.expect(False)
            raise
        if opening is not self._opening:
            await model.aclose()
            return False
        self._over()
        if self._controller.model is not None:
            self._retired.append(self._controller.model)
        await self._controller.use(model)
        self._controller.expect(False)
        return True

    def cancel(self) -> None:
        """Give up what is being opened; what was fetched of it is kept."""
        if self._opening is not None:
            self._opening.cancel()
            self._over()
            self._controller.expect(False)

    async def retire(self) -> None:
        """Give back the memory of models that nothing uses any more."""
        while self._retired:
            model = self._retired.pop()
            await self.unused(model)
            await model.aclose()

    async def close(self) -> None:
        self.cancel()
        while self._retired:
            await self._retired.pop().aclose()
        if self._controller.model is not None:
            await self._controller.model.aclose()

    def _progress(self, progress: Progress) -> None:
        if self._opening is not None:
            self._told(progress)

    def _over(self) -> None:
        self._opening = None
        self._told(None)


async def _at_once(model: Model) -> None:
    """Nobody else uses models."""
