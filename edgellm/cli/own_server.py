"""The server that runs for this user, from a command's point of view: found, or said to be missing."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from msgspec.structs import replace

from edgellm.catalog.catalog import looks_like_path
from edgellm.cli.progress import waiting
from edgellm.config import Settings
from edgellm.errors import EdgeLLMError, Unavailable
from edgellm.events import Event
from edgellm.model import Model, WrapperModel
from edgellm.remote.edgellm_server import EdgeServer
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import ChatRequest
from edgellm.runtime import instance


def running() -> EdgeServer:
    """Raises Unavailable, with what to do, where no server runs."""
    found = instance.find()
    if found is None:
        raise Unavailable("No edgellm server runs for this user. `edgellm serve` starts one.")
    return EdgeServer(found.url, found.token)


def model(settings: Settings, name: str, own: Sequence[str] = ()) -> Model | None:
    """The model called `name` as the running server has it; None where the command has to load it itself.

    `own` are options that only a load can honour. What is done, and why, is said on a terminal.
    """
    found = instance.find()
    if found is None or found.pid == os.getpid():
        return None
    entry, why = _served(EdgeServer(found.url, found.token), name, own)
    if why:
        _note(f"A server runs at {found.url}, but {why}: the model is loaded here.")
        return None
    _note(f"{entry['id']} answers from the server at {found.url} (--local loads it here instead).")
    return ServedModel(OpenAIServer(found.url, str(entry["id"]), found.token), settings)


def _served(server: EdgeServer, name: str, own: Sequence[str]) -> tuple[dict[str, Any], str]:
    """What the server says of the model, or why it cannot be had from there."""
    if looks_like_path(name):
        return {}, "it does not serve files by their path"
    if own:
        return {}, f"{', '.join(own)} {'needs' if len(own) == 1 else 'need'} a load of its own"
    try:
        entry = server.named(name)
    except EdgeLLMError as error:
        return {}, " ".join(str(error).split()).rstrip(".")
    if entry is None or entry.get("kind") != "chat":
        return {}, f"it has no model {name!r}"
    return entry, ""


class ServedModel(WrapperModel):
    """A model on the running server: loaded there, with a word on stderr if that takes longer than a moment."""

    def __init__(self, inner: OpenAIServer, settings: Settings) -> None:
        super().__init__(inner)
        self._server = inner
        self._speculation = settings.speculation

    async def start(self) -> None:
        async with waiting(f"waiting for {self.inner.info.name}"):
            await self._server.load()

    def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        """The server has settings of its own; what was asked of this command goes with each request."""
        asked = replace(request, speculation=self._speculation) if request.speculation == "auto" else request
        return self.inner.stream(asked)


def _note(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(text, file=sys.stderr)
