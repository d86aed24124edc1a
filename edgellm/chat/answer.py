"""`AnswerStream`: one choice's tokens to `Text` events, ended by stop strings, log-probabilities attached."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from edgellm.chat.detokenize import Detokenizer
from edgellm.chat.stop import StopStrings
from edgellm.events import Event, Text, TokenLogprob

# A token's own log-probability, and those of the best tokens beside it.
Score = tuple[float, Sequence[tuple[int, float]]]


class AnswerStream:
    """Push the tokens of one choice, then `finish`; once `stopped` is set, everything further is dropped.

    A token's log-probability comes with the event that lets its first character through. Those of tokens that lie
    wholly in or behind a stop string are dropped with their text.
    """

    def __init__(self, piece: Callable[[int], bytes], stops: Sequence[str] = (), choice: int = 0) -> None:
        """`piece` gives a token's bytes. Raises RequestError for an empty stop string."""
        self.stopped: str | None = None
        self._detokenizer = Detokenizer(piece)
        self._stops = StopStrings(stops)
        self._choice = choice
        self._decoded = 0  # characters so far
        self._emitted = 0  # of those, let through
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()  # each with the index of its first character

    def push(self, token: int, score: Score | None = None) -> list[Event]:
        """The next token, with its log-probabilities if they were asked for."""
        if self.stopped is not None:
            return []
        if score is not None:
            self._waiting.append((self._decoded, self._logprob(token, score)))
        text = self._detokenizer.push(token)
        return self._let_through(*self._checked(text)) if text else []

    def finish(self) -> list[Event]:
        """The choice has ended: what was held back. May still set `stopped`."""
        if self.stopped is not None:
            return []
        text, stop = self._checked(self._detokenizer.flush())
        if stop is None:
            rest, stop = self._stops.flush()
            text += rest
        events = self._let_through(text, stop)
        if self._waiting and stop is None:  # tokens without text at the end
            events.append(Text("", self._choice, logprobs=tuple(entry for _, entry in self._waiting)))
        self._waiting.clear()
        return events

    def _checked(self, text: str) -> tuple[str, str | None]:
        self._decoded += len(text)
        return self._stops.push(text)

    def _let_through(self, text: str, stop: str | None) -> list[Event]:
        self.stopped = stop
        if not text:
            return []
        self._emitted += len(text)
        return [Text(text, self._choice, logprobs=self._due() if self._waiting else ())]

    def _due(self) -> tuple[TokenLogprob, ...]:
        due = []
        while self._waiting and self._waiting[0][0] < self._emitted:
            due.append(self._waiting.popleft()[1])
        return tuple(due)

    def _logprob(self, token: int, score: Score) -> TokenLogprob:
        own, best = score
        top = tuple(self._entry(other, logprob) for other, logprob in best)
        return self._entry(token, own, top)

    def _entry(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        data = self._detokenizer.piece(token)
        return TokenLogprob(token, data.decode("utf-8", "replace"), data, logprob, top)
