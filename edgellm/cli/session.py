"""One command's model and the event loop that it lives in, from opening to the last byte given back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from edgellm.cli.progress import Meter, waiting
from edgellm.config import Settings
from edgellm.errors import ConfigError
from edgellm.model import Model, WrapperModel

if TYPE_CHECKING:
    from edgellm.catalog.reference import UpstreamReference
    from edgellm.runtime.explanation import Explanation
    from edgellm.runtime.locate import Located

Result = TypeVar("Result")


def open_model(
    settings: Settings, name: str, *, local: bool = True, own: Sequence[str] = (), explain: bool = False
) -> Model:
    """The model called `name`, not loaded yet; fetched first, with a progress bar, if it is not on this machine.

    Unless `local`, it is the one of the server that runs for this user, if one does and no options in `own`, which only
    a load can honour, were given. A model of an upstream is asked there; with such options it is a ConfigError.
    """
    from edgellm.runtime import assemble, upstreams

    elsewhere = upstreams.meant(name, settings)
    if elsewhere is not None:
        refuse(elsewhere, [*own, *(["--explain"] if explain else [])])
        return LoadingShown(upstreams.open_upstream(elsewhere, settings))
    if not local:
        from edgellm.cli import own_server

        if (served := own_server.model(settings, name, own)) is not None:
            return served
    with Meter() as meter:
        opened = assemble.open_named(name, settings, meter) if explain else None
        model = opened.model if opened is not None else assemble.open_model(name, settings, meter)
    if opened is not None:
        tell(opened.explanation)
    for note in model.info.notes:
        print(note, file=sys.stderr)
    return LoadingShown(model)


def tell(explanation: Explanation) -> None:
    """Why a model is loaded as it is, on stderr."""
    import shutil
    import textwrap

    width, indent = max(40, min(100, shutil.get_terminal_size().columns)), " " * 14
    for label, words in explanation.lines:
        body = textwrap.fill(f"{label:14}{words}.", width, subsequent_indent=indent, break_on_hyphens=False)
        print(body, file=sys.stderr)


def refuse_upstream(settings: Settings, own: Sequence[str]) -> None:
    """Raises ConfigError where the settings name a model of an upstream, and `own` options that only a load honours."""
    from edgellm.runtime import upstreams

    if (elsewhere := upstreams.meant(settings.model, settings)) is not None:
        refuse(elsewhere, own)


def refuse(upstream: UpstreamReference, own: Sequence[str]) -> None:
    """Raises ConfigError if there are any `own` options: `upstream` is not told of them."""
    if own:
        raise ConfigError(
            f"{', '.join(own)} cannot apply to {upstream}: it is loaded by its upstream, in its own way. Leave "
            f"{'that' if len(own) == 1 else 'those'} out."
        )


def found(settings: Settings, name: str) -> Located:
    """The model called `name` on this machine; fetched first, with a progress bar, if it is not there."""
    from edgellm.runtime.locate import locate

    with Meter() as meter:
        located = locate(name, settings, meter)
    if located.reason:
        print(located.reason, file=sys.stderr)
    return located


class LoadingShown(WrapperModel):
    """Says on stderr that the model loads, if that takes longer than a moment, and what came of it that matters."""

    async def start(self) -> None:
        before = self.inner.info.notes
        doing = "asking for" if self.inner.info.backend == "upstream" else "loading"
        async with waiting(f"{doing} {self.inner.info.name}"):
            await self.inner.start()
        for note in self.inner.info.notes:
            if note not in before:
                print(note, file=sys.stderr)


class Session:
    """A context manager: loads `model` on entry, closes it on exit, and `run`s coroutines between.

    Ctrl-C while `run` works cancels that coroutine and raises KeyboardInterrupt; the session stays usable.
    Between two `run`s the loop stands still, so that a terminal can be read plainly, on every platform.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    def __enter__(self) -> Session:
        self._runner.__enter__()
        try:
            self.run(self.model.start())
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        try:
            self.run(self.model.aclose())
        finally:
            self._runner.close()
