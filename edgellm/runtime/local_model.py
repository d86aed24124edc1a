"""A model in this very process: chat, engine and backend as one `Model`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec.structs import replace

from edgellm.backends.base import Backend
from edgellm.chat.budget import answer_budget
from edgellm.chat.template import ChatTemplate
from edgellm.config import ModelSettings
from edgellm.engine.engine import Engine
from edgellm.engine.scheduler import Budget
from edgellm.engine.sequence import Job, Update
from edgellm.engine.speculative.draft_model import DraftModel
from edgellm.engine.thread import EngineThread
from edgellm.errors import BackendError, EdgeLLMError, RequestError, Unavailable
from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input
from edgellm.runtime import speculation
from edgellm.runtime.choice import Choice
from edgellm.runtime.drafter import DraftSource, load_drafter
from edgellm.runtime.grammars import Grammars
from edgellm.runtime.preparation import Preparation, Prepared
from edgellm.runtime.speculation import Forgetful, Remembered
from edgellm.telemetry.metrics import ModelMetrics, Registry

_MOST_CHOICES = 128
_MOST_LOGPROBS = 100


class LocalModel:
    """`build` loads the backend, on the engine's thread; everything else happens on the event loop.

    Belongs to the loop of its first request. `info` gives the name it goes by and the sampling to recommend; the rest
    comes from the backend. `crashed` is called, on the engine's thread, when an error of ours has ended the engine.
    `draft` gives a second backend, which drafts; where it cannot be had the model goes without: `info.notes` has why.
    `remembered` keeps step times from one process to the next.
    """

    def __init__(
        self,
        build: Callable[[], Backend],
        settings: ModelSettings,
        info: ModelInfo,
        crashed: Callable[[], None] = lambda: None,
        draft: DraftSource | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self._build = build
        self._draft = draft
        self._remembered = remembered or Forgetful()
        self._on_crash = crashed
        self._settings = settings
        self._info = info
        self._thread: EngineThread | None = None
        self._starting: asyncio.Task[None] | None = None
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids = itertools.count()
        self._streams: dict[int, asyncio.Queue[Update]] = {}
        self._preparation: Preparation | None = None
        self._broken: EdgeLLMError | None = None
        self._registry = Registry()
        self._metrics = ModelMetrics(self._registry)

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        failed = self._starting is not None and self._starting.done() and self._engine is None
        if self._starting is None or (failed and self._broken is None):
            self._starting = asyncio.create_task(self._load())
        await asyncio.shield(self._starting)

    async def _load(self) -> None:
        self._loop = asyncio.get_running_loop()
        thread = EngineThread(self._assemble, self._post, self._crashed)
        engine = await asyncio.to_thread(thread.start)
        vocabulary = engine.backend.vocabulary
        bos, eos = (
            "" if token is None else vocabulary.piece(token, special=True).decode("utf-8", "replace")
            for token in (vocabulary.bos, vocabulary.eos)
        )
        self._grammars = Grammars(vocabulary)
        self._preparation = Preparation(vocabulary, ChatTemplate(vocabulary.template, bos, eos), self._grammars)
        told, known = engine.backend.info, self._info
        self._info = replace(
            told,
            name=known.name,
            sampling=known.sampling,
            notes=known.notes,
            parallel=engine.scheduler.budget.parallel,
            quantization=told.quantization or known.quantization,
            parameters=told.parameters or known.parameters,
        )
        self._thread, self._engine = thread, engine

    def _assemble(self) -> Engine:
        with ThreadPoolExecutor(1) as beside:
            known = beside.submit(self._remembered.read)
            settings, backend = self._settings, self._build()
        limits = backend.limits
        batch = min(settings.batch, limits.batch)
        budget = Budget(
            batch=batch,
            rows=limits.rows,
            beside=min(settings.prefill_chunk, batch),
            parallel=min(settings.parallel, limits.slots, limits.rows),
            queue=settings.queue,
        )
        return speculation.engine(
            backend, settings, budget, known.result(), self._remembered, lambda: self._drafter(backend)
        )

    def _drafter(self, target: Backend) -> DraftModel | None:
        if self._draft is None:
            return None
        drafter, note = load_drafter(
            self._draft, target, clock=time.perf_counter, prefix_cache=self._settings.prefix_cache
        )
        self._info = replace(self._info, notes=(*self._info.notes, note) if note else self._info.notes)
        return drafter

    # -- answering ----------------------------------------------------------------------------------------------

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        begin = time.perf_counter()
        _check(request)
        loaded = self._engine is not None
        await self.start()
        load_ms = 0.0 if loaded else 1000 * (time.perf_counter() - begin)
        assert self._preparation is not None
        prepared = await self._preparation.prepared(request)
        choices = self._choices(request, prepared, begin, load_ms)
        updates: asyncio.Queue[Update] = asyncio.Queue()
        engine = self._running_engine()
        silent = True
        try:
            for choice in choices.values():
                self._streams[choice.job.id] = updates
                engine.submit(choice.job)
            while not all(choice.done for choice in choices.values()):
                update = await updates.get()
                choice = choices[update.id]
                events = [] if choice.done else choice.events(update)
                if update.error is not None and silent:
                    raise update.error
                for event in events:
                    silent = False
                    yield event
                if choice.done:
                    engine.cancel(update.id)
        finally:
            for id, choice in choices.items():
                self._streams.pop(id, None)
                engine.cancel(id)
                self._metrics.ended(choice.outcome, choice.timings)

    def _choices(self, request: ChatRequest, prepared: Prepared, begin: float, load_ms: float) -> dict[int, Choice]:
        engine, sampling, prompt = self._engine, request.sampling, prepared.prompt
        assert engine is not None
        vocabulary = engine.backend.vocabulary
        max_tokens = answer_budget(len(prompt), self._info.context_length, request.max_tokens)
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        ends = frozenset() if request.ignore_eos else vocabulary.end_tokens
        jobs = [
            Job(
                id=next(self._ids),
                prompt=prompt,
                params=sampling,
                seed=(seed + index) % 2**64,
                max_tokens=max_tokens,
                stop_tokens=ends.union(request.stop_token_ids),
                logprobs=request.logprobs,
                priority=request.priority,
                speculation=self._settings.speculation if request.speculation == "auto" else request.speculation,
                deadline=None if request.deadline_s is None else begin + request.deadline_s,
                grammar=prepared.constraint,
            )
            for index in range(request.n)
        ]
        return {
            job.id: Choice(job, i, prepared.answer(request.stop, i), load_ms, prepared.warnings)
            for i, job in enumerate(jobs)
        }

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        await self.start()
        assert self._preparation is not None
        return await self._preparation.tokenize(input, template_args or {}, tools)

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        await self.start()
        assert self._preparation is not None
        return self._preparation.pieces(ids)

    # -- the engine's thread calls these ------------------------------------------------------------------------

    def _post(self, updates: list[Update]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._dispatch, updates)

    def _crashed(self, error: BaseException) -> None:
        self._on_crash()
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            reason = BackendError(f"the engine stopped on an internal error, {error!r}; the next request starts afresh")
            self._loop.call_soon_threadsafe(self._break, reason)

    def _dispatch(self, updates: list[Update]) -> None:
        for update in updates:
            if (stream := self._streams.get(update.id)) is not None:
                stream.put_nowait(update)

    def _break(self, error: EdgeLLMError) -> None:
        self._broken = error
        self._dispatch([Update(id, error=error) for id in self._streams])

    # -- standing and leaving -----------------------------------------------------------------------------------

    def _running_engine(self) -> EngineThread:
        if self._broken is not None:
            raise self._broken
        assert self._thread is not None
        return self._thread

    async def status(self) -> ModelStatus:
        if self._engine is None or self._broken is not None:
            return ModelStatus()
        engine, counters = self._engine, self._engine.counters
        host_s = counters.step_s - counters.decode_s
        return ModelStatus(
            waiting=len(engine.scheduler.waiting),
            running=len(engine.scheduler.running),
            cells_used=engine.cache.used,
            cells_total=engine.cache.cells,
            sequences_resident=engine.cache.resident,
            tokens_generated=counters.generated,
            tokens_prefilled=counters.prefilled,
            tokens_reused=counters.reused,
            steps=counters.steps,
            step_host_ms=1000 * host_s / counters.steps if counters.steps else 0.0,
            speculation=engine.proposer.status(),
            metrics=self._registry.snapshot(),
        )

    async def aclose(self) -> None:
        self._break(Unavailable("the model was closed while it answered; load it again to ask again"))
        if self._starting is not None:
            with contextlib.suppress(EdgeLLMError, asyncio.CancelledError):
                await self._starting
        if self._thread is not None:
            self._grammars.close()
            await asyncio.to_thread(self._thread.stop)


def _check(request: ChatRequest) -> None:
    """Refuse what cannot be honoured before any work is done."""
    if (problem := request.sampling.problem()) is not None:
        raise RequestError(problem)
    if not 1 <= request.n <= _MOST_CHOICES:
        raise RequestError(f"n must be between 1 and {_MOST_CHOICES}")
    if request.logprobs is not None and not 0 <= request.logprobs <= _MOST_LOGPROBS:
        raise RequestError(f"at most {_MOST_LOGPROBS} log-probabilities a token can be asked for")
    if request.reasoning_budget is not None and request.reasoning_budget < 0:
        raise RequestError("reasoning_budget must be 0 (no thoughts) or more")
