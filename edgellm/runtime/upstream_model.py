"""`UpstreamModel`: a model of an upstream, by the name and with the words that it has here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from msgspec.structs import replace

from edgellm.catalog.reference import UpstreamReference
from edgellm.catalog.upstream import Upstream
from edgellm.config import Settings
from edgellm.errors import ModelNotFound, Offline
from edgellm.events import Event, Started
from edgellm.model import ModelInfo, ModelStatus, SpeculationStatus, WrapperModel
from edgellm.remote.clock import Patience
from edgellm.remote.flavour import Flavour, shown_as
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import ChatRequest, SamplingParams
from edgellm.runtime import upstream_key
from edgellm.runtime.upstream_lookout import offline
from edgellm.runtime.upstream_twins import entry_of

_FOREIGN = {"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "repetition_penalty": 1.0}


class UpstreamModel(WrapperModel):
    """Belongs to the event loop that first uses it. Errors name the upstream, never its address or its key."""

    def __init__(self, reference: UpstreamReference, upstream: Upstream, inner: OpenAIServer) -> None:
        super().__init__(inner)
        self.upstream = upstream
        self._server = inner
        self._info = ModelInfo(name=str(reference), backend="upstream")
        self._started = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        """Ask the upstream for it. Raises Unavailable, ModelNotFound, KeyRefused."""
        await self._server.start()
        if self._started:
            return
        there = self._server.info
        if not (self.upstream.offers(there.name) or self.upstream.offers(shown_as(there.name))):
            raise _not_offered(self.upstream, there.name)
        self._info = shown(self.upstream, there, self._server.flavour)
        self._started = True

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        await self.start()
        warnings = _unheard(request, self._server.flavour)
        inner = cast(AsyncGenerator[Event, None], self._server.stream(request))
        async with aclosing(inner) as events:
            async for event in events:
                said = warnings if isinstance(event, Started) and event.choice == 0 else ()
                yield replace(event, warnings=(*event.warnings, *said)) if isinstance(event, Started) else event

    async def status(self) -> ModelStatus:
        """What another edgellm tells; of others, that nobody here guesses ahead."""
        if self._server.flavour == "edgellm":
            return await self._server.status()
        return ModelStatus(speculation=SpeculationStatus(reason="that is up to the upstream"))


def opened(reference: UpstreamReference, upstream: Upstream, settings: Settings) -> UpstreamModel:
    """Not asked yet. May block on a keyring. Raises Offline, and ConfigError where its key is not to be had."""
    if problem := offline(upstream, settings.offline):
        raise Offline(problem)
    if reference.model and _is_plain(upstream) and not upstream.offers(reference.model):
        raise _not_offered(upstream, reference.model)
    patience = Patience(
        connect_s=upstream.connect_s,
        first_s=upstream.first_token_s,
        silence_s=upstream.first_token_s,
        total_s=upstream.total_s,
    )
    server = OpenAIServer(
        upstream.url,
        reference.model,
        upstream_key.key_of(upstream),
        patience,
        called=f"The upstream {upstream.name}",
        key_advice=upstream_key.advice(upstream),
        only_listed=reference.model not in upstream.models,
    )
    return UpstreamModel(reference, upstream, server)


def shown(upstream: Upstream, there: ModelInfo, flavour: Flavour) -> ModelInfo:
    """`there`, as the upstream has it, by the name and the sampling that it has here."""
    sampling = there.sampling
    if sampling == SamplingParams():
        entry = entry_of(there.name)
        sampling = entry.sampling if entry is not None else sampling
        sampling = replace(sampling, **_FOREIGN) if flavour == "other" else sampling
    return replace(there, name=f"{upstream.name}/{shown_as(there.name)}", sampling=sampling)


def _is_plain(upstream: Upstream) -> bool:
    """Whether the allowed names are names, so that a wrong one can be told without asking anybody."""
    return bool(upstream.models) and not any(set("*?[") & set(each) for each in upstream.models)


def _not_offered(upstream: Upstream, model: str) -> ModelNotFound:
    return ModelNotFound(
        f"models.toml does not offer {model[:200]!r} of the upstream {upstream.name}, but {', '.join(upstream.models)}."
    )


def _unheard(request: ChatRequest, flavour: Flavour) -> tuple[str, ...]:
    """What of the request the upstream is not told, in sentences."""
    said = []
    if flavour != "edgellm" and request.speculation in ("ngram", "draft"):
        said.append("speculation is up to the upstream, and was not asked for.")
    if flavour == "other":
        foreign = [name for name, neutral in _FOREIGN.items() if getattr(request.sampling, name) != neutral]
        if foreign:
            said.append(f"the upstream does not know {', '.join(foreign)}: not sent.")
    return tuple(said)
