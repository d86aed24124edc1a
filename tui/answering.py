"""One answer while it is written: collects the model's events, tells of each, and saves itself every second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

import msgspec

from edgellm.errors import EdgeLLMError
from edgellm.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Started,
    Text,
    Timings,
    ToolArguments,
    ToolStart,
    Usage,
)
from edgellm.messages import ToolCall
from edgellm.model import Model
from edgellm.request import ChatRequest
from tui import notices
from tui.notices import Notice, Stats
from tui.store import entries
from tui.store.records import Entry, Reply, State
from tui.store.store import Store

SAVED_EACH_S = 1.0
STATS_EACH_S = 0.5


class Answering:
    """`entry` is the empty answer, already stored; `run` fills it. The words so far are always in `now()`."""

    def __init__(
        self,
        store: Store,
        entry: Entry,
        model: Model,
        request: ChatRequest,
        tell: Callable[[Notice], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.entry = entry
        self.model = model
        self.stopping = False
        self.stats = Stats()
        self._store, self._request, self._tell, self._clock = store, request, tell, clock
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._known: dict[str, Any] = {"model": model.info.name, "left_out": entry.reply.left_out}
        self._state: State = "streaming"
        self._begun = self._first = self._last = self._told = 0.0
        self._thinking_since: float | None = None
        self._dirty = self._warned = False
        self._task = asyncio.create_task(self._run())

    def now(self) -> Entry:
        """The entry as it stands."""
        reply = Reply(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            calls=tuple(self._calls),
            state=self._state,
            **self._known,
        )
        return msgspec.structs.replace(self.entry, reply=reply)

    async def stop(self) -> None:
        """End it, keeping its words; returns when they are stored."""
        self.stopping = True
        self._task.cancel()
        await self.ended()
        if self._state == "streaming":  # cancelled before its first step
            self._end("stopped", reason="stopped")
            await self._save()

    async def ended(self) -> None:
        """Wait until it is over and stored."""
        await asyncio.wait([self._task])

    def on_end(self, then: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: then())

    async def _run(self) -> None:
        self._begun = self._clock()
        saver = asyncio.create_task(self._save_often())
        try:
            await self._listen()
        except asyncio.CancelledError:
            self._end("stopped", reason="stopped")
        except EdgeLLMError as error:
            self._end("failed", reason=error.code, error=str(error))
        except Exception as error:  # a model is anything: whatever it raises must not cost the conversation
            self._end("failed", reason="error", error=f"The model failed: {error or type(error).__name__}. Try again.")
        finally:
            saver.cancel()
        await self._save()

    async def _listen(self) -> None:
        async with aclosing(cast(AsyncGenerator[Event, None], self.model.stream(self._request))) as events:
            async for event in events:
                self._take(event)
        if self._state == "streaming":
            self._end("failed", reason="error", error="The answer broke off. Try again.")

    def _take(self, event: Event) -> None:
        match event:
            case Text(text=text):
                self._piece(self._text, text, notices.TextAdded(self.entry.id, text))
            case Reasoning(text=text):
                self._piece(self._reasoning, text, notices.ReasoningAdded(self.entry.id, text))
            case ToolStart(id=id, name=name):
                self._call(ToolCall(id, name, ""), new=True)
            case ToolArguments(text=text) if self._calls:
                last = self._calls[-1]
                self._call(msgspec.structs.replace(last, arguments=last.arguments + text), new=False)
            case Started(prompt_tokens=prompt, cached_tokens=cached):
                self._measured(prompt_tokens=prompt, cached_tokens=cached)
            case Progress(done=done, total=total):
                self._tell(notices.PromptProgress(self.entry.id, done, total))
            case Finished(reason=reason, usage=usage, timings=timings):
                self._finish(reason, usage, timings)
            case Failed(code=code, message=message):
                self._end("failed", reason=code, error=message)

    def _piece(self, pieces: list[str], text: str, notice: Notice) -> None:
        pieces.append(text)
        now = self._clock()
        self._first = self._first or now
        if pieces is self._reasoning:
            self._thinking_since = self._thinking_since or now
        elif self._thinking_since is not None:
            self._known["thought_s"] = now - self._thinking_since
            self._thinking_since = None
        self._dirty = True
        self._known["first_s"] = self._first - self._begun
        self._tell(notice)
        self._count(now)

    def _count(self, now: float) -> None:
        """One piece is taken for one token until the model gives its own count."""
        tokens = self.stats.tokens + 1
        self._last = now
        self.stats = msgspec.structs.replace(self.stats, tokens=tokens)
        if now - self._told >= STATS_EACH_S:
            self._told = now
            spent = now - self._first
            self._measured(first_s=self._known["first_s"], per_s=(tokens - 1) / spent if spent > 0 else 0.0)

    def _call(self, call: ToolCall, new: bool) -> None:
        if new:
            self._calls.append(call)
        else:
            self._calls[-1] = call
        self._dirty = True
        self._tell(notices.CallChanged(self.entry.id, len(self._calls) - 1, call))

    def _measured(self, **figures: Any) -> None:
        self.stats = msgspec.structs.replace(self.stats, **figures)
        self._tell(notices.StatsChanged(self.entry.id, self.stats))

    def _finish(self, reason: str, usage: Usage, timings: Timings) -> None:
        self._end("complete", reason=reason, usage=usage, timings=timings)
        self._measured(**figures(usage, timings))

    def _end(self, state: State, **known: Any) -> None:
        if self._thinking_since is not None:
            self._known["thought_s"] = self._clock() - self._thinking_since
            self._thinking_since = None
        self._state = state
        self._known |= self._counted() | known

    def _counted(self) -> dict[str, Any]:
        """What is known of an answer that ends before its model gives its own figures."""
        stats = self.stats
        if not stats.tokens:
            return {}
        usage = Usage(stats.prompt_tokens, stats.tokens, stats.cached_tokens)
        return {
            "usage": usage,
            "timings": Timings(predicted_n=stats.tokens, predicted_ms=1000 * (self._last - self._first)),
        }

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(SAVED_EACH_S)
            if self._dirty:
                self._dirty = False
                await self._save()

    async def _save(self) -> None:
        """A disk that is full must not end the answer: its words are still on the screen."""
        try:
            await self._store.write(entries.save, self.entry.id, self.now().reply)
        except EdgeLLMError as error:
            if not self._warned:
                self._tell(notices.Warned(str(error)))
            self._warned = True


def figures(usage: Usage, timings: Timings) -> dict[str, Any]:
    """The fields of `Stats` that a finished answer fills, also one read from the store."""
    drafted = timings.draft_n
    return {
        "tokens": usage.completion_tokens or timings.predicted_n,
        "per_s": timings.predicted_per_second,
        "acceptance": timings.draft_n_accepted / drafted if drafted else None,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "exact": True,
    }
