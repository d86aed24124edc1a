"""One of a request's answers on its way out: the engine's updates to `Event`s."""

from __future__ import annotations

from msgspec.structs import replace

from edgellm.chat.answer import AnswerStream
from edgellm.engine.sequence import Job, Update
from edgellm.errors import details
from edgellm.events import Event, Failed, Finished, FinishReason, Progress, Reasoning, Started, Timings, Usage


class Choice:
    """Feed it the updates of `job`; `done` once the last event is out.

    `outcome` and `timings` are for the metrics: how it ended (a finish reason, an error's code), or "cancelled" until
    it has, and how long everything took so far.
    """

    def __init__(
        self,
        job: Job,
        index: int,
        answer: AnswerStream,
        load_ms: float,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.job = job
        self.index = index
        self.done = False
        self.outcome = "cancelled"
        self.timings = Timings()
        self._answer = answer
        self._load_ms = load_ms
        self._warnings = warnings
        self._generated = 0
        self._cached = 0
        self._thought = 0  # tokens of thoughts
        self._told = 0  # tokens up to the last event

    def events(self, update: Update) -> list[Event]:
        events: list[Event] = []
        self.timings = update.timings or self.timings
        if update.error is not None:
            self.done, self.outcome = True, update.error.code
            return [Failed(update.error.code, str(update.error), details(update.error), self.index)]
        if update.started is not None:
            self._cached = update.started
            events.append(Started(len(self.job.prompt), update.started, self.index, self._warnings))
        if 0 < update.computed < len(self.job.prompt):
            events.append(Progress(update.computed, len(self.job.prompt), self.index))
        self._push(update, events)
        return events

    def _push(self, update: Update, events: list[Event]) -> None:
        for index, token in enumerate(update.tokens):
            self._generated += 1
            if token in self.job.stop_tokens:
                continue
            self._count(pushed := self._answer.push(token, update.scores[index] if update.scores else None))
            events += pushed
            if self._answer.over:
                break
        if update.finished is not None and not self._answer.over:
            self._count(last := self._answer.finish())
            events += last
        if update.finished is not None or self._answer.over:
            assert update.timings is not None
            events.append(self._finished(self._reason(update.finished), update.timings))

    def _count(self, events: list[Event]) -> None:
        """Tokens whose text was held back, and those around thoughts, count with the event that follows them."""
        if any(isinstance(event, Reasoning) for event in events):
            self._thought += self._generated - self._told
        self._told = self._generated if events else self._told

    def _reason(self, finished: FinishReason | None) -> FinishReason:
        if self._answer.stopped is not None:
            return "stop"
        if self._answer.called and (self._answer.over or finished != "length"):
            return "tool_calls"
        return finished or "stop"

    def _finished(self, reason: FinishReason, timings: Timings) -> Finished:
        self.done, self.outcome = True, reason
        self.timings = replace(timings, load_ms=self._load_ms, predicted_n=self._generated)
        return Finished(
            reason,
            Usage(len(self.job.prompt), self._generated, self._cached, self._thought),
            self.timings,
            self._answer.stopped,
            self.index,
        )
