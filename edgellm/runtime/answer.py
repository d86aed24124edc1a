"""What the parent holds of one running request: the events that arrived and nobody has read yet."""

from __future__ import annotations

import asyncio

from edgellm import errors
from edgellm.events import Event, Failed, Finished
from edgellm.request import ChatRequest
from edgellm.runtime import frames


class Answer:
    """The events of one request: they arrive in batches and are taken in batches."""

    def __init__(self, id: int, request: ChatRequest) -> None:
        self.id = id
        self.ended = False
        self._choices = request.n
        self._over: set[int] = set()
        self._started = False
        self._events: list[Event] = []
        self._error: errors.EdgeLLMError | None = None
        self._changed = asyncio.Event()
        self._owed = 0

    async def take(self) -> list[Event]:
        """What arrived since the last call, waiting for the first of it; [] is the end."""
        while not self._events:
            if self._error is not None:
                raise self._error
            if self.ended:
                return []
            self._changed.clear()
            await self._changed.wait()
        events, self._events = self._events, []
        return events

    def credit(self, events: int) -> int:
        """Count `events` as read; how many to tell the worker of now (0 while it is not worth a message)."""
        self._owed += events
        if self.ended or self._owed < frames.WINDOW // 2:
            return 0
        owed, self._owed = self._owed, 0
        return owed

    def put(self, events: list[Event]) -> None:
        self._started = True
        self._over.update(event.choice for event in events if isinstance(event, Finished | Failed))
        self._events += events
        self._changed.set()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    def fail(self, error: errors.EdgeLLMError) -> None:
        """Before the first event the reader gets `error` raised, later a `Failed` for each choice still open."""
        if self._started:
            details = errors.details(error)
            open_choices = (choice for choice in range(self._choices) if choice not in self._over)
            self._events += [Failed(error.code, str(error), details, choice) for choice in open_choices]
        else:
            self._error = error
        self.end()
