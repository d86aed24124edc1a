"""`AnswerStream`: one choice's tokens to events, ended by stop strings, log-probabilities attached."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence

from edgellm.chat.detokenize import Detokenizer
from edgellm.chat.fresh_calls import FreshCalls
from edgellm.chat.stop import StopStrings
from edgellm.chat.tools.parser import CallArguments, CallEnd, CallStart, Content, Parser, Piece, Thought
from edgellm.events import Event, Reasoning, Text, TokenLogprob, ToolArguments, ToolEnd, ToolStart

# A token's own log-probability, and those of the best tokens beside it.
Score = tuple[float, Sequence[tuple[int, float]]]


class AnswerStream:
    """Push the tokens of one choice, then `finish`; once it is `over`, everything further is dropped.

    It is over by a stop string (`stopped`) in its text, or, unless `parallel`, by its first whole tool call. What a
    `parser` takes for thoughts and calls is no text: stop strings do not count there. An answer of `only_calls` has no
    text at all, and is over when it begins to repeat itself.

    A token's log-probability comes with the event that lets its first character through, or a later one. Those of
    tokens that lie wholly in or behind a stop string are dropped with their text.
    """

    def __init__(
        self,
        piece: Callable[[int], bytes],
        stops: Sequence[str] = (),
        choice: int = 0,
        parser: Parser | None = None,
        parallel: bool = True,
        only_calls: bool = False,
    ) -> None:
        """`piece` gives a token's bytes. Raises RequestError for an empty stop string."""
        self.stopped: str | None = None
        self.called = False
        self._detokenizer = Detokenizer(piece)
        self._stops = StopStrings(stops)
        self._choice = choice
        self._parser = parser
        self._parallel = parallel
        self._fresh = FreshCalls() if only_calls else None
        self._decoded = 0  # characters of text so far
        self._emitted = 0  # of those, let through
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()  # each with the index of its first character
        self._part = 0
        self._kind: type[Event] | None = None

    @property
    def over(self) -> bool:
        repeated = self._fresh is not None and self._fresh.repeated
        return self.stopped is not None or repeated or (self.called and not self._parallel)

    def push(self, token: int, score: Score | None = None) -> list[Event]:
        """The next token, with its log-probabilities if they were asked for."""
        if self.over:
            return []
        if score is not None:
            self._waiting.append((self._decoded, self._logprob(token, score)))
        text = self._detokenizer.push(token)
        return self._read(text) if text else []

    def finish(self) -> list[Event]:
        """The choice has ended: what was held back. May still set `stopped`."""
        if self.over:
            return []
        events = self._read(self._detokenizer.flush())
        if self._parser is not None and not self.over:
            events += self._events(self._parser.finish())
        if not self.over:
            events += self._released()
        if self._waiting and not self.over:  # tokens without text at the end
            events.append(Text("", self._choice, self._part_of(Text), self._due(everything=True)))
        self._waiting.clear()
        return events

    def _read(self, text: str) -> list[Event]:
        return self._content(text) if self._parser is None else self._events(self._parser.feed(text))

    def _events(self, pieces: Sequence[Piece]) -> list[Event]:
        events: list[Event] = []
        for piece in pieces if self._fresh is None else self._fresh.fresh(pieces):
            if self.stopped is not None or (self.called and not self._parallel):
                break
            if isinstance(piece, Content):
                events += self._content(piece.text)
                continue
            events += self._released()
            if self.stopped is None:
                events += self._apart(piece)
        return events

    def _apart(self, piece: Piece) -> list[Event]:
        """What is no text. Of a call that broke off midway everything was told already."""
        choice = self._choice
        match piece:
            case Thought(text=text):
                return [Reasoning(text, choice, self._part_of(Reasoning), self._due(everything=True))]
            case CallStart(name=name, id=id):
                return [ToolStart(id or f"call_{secrets.token_hex(12)}", name, choice, self._part_of(ToolStart))]
            case CallArguments(text=text):
                return [ToolArguments(text, choice, self._part)]
            case CallEnd():
                self.called = True
                return [ToolEnd(choice, self._part)]
        return []

    def _content(self, text: str) -> list[Event]:
        self._decoded += len(text)
        return self._let_through(*self._stops.push(text))

    def _released(self) -> list[Event]:
        """What the stop strings hold back, now that the text is at an end."""
        return self._let_through(*self._stops.flush())

    def _let_through(self, text: str, stop: str | None) -> list[Event]:
        self.stopped = stop
        if not text:
            return []
        self._emitted += len(text)
        return [Text(text, self._choice, self._part_of(Text), self._due() if self._waiting else ())]

    def _part_of(self, kind: type[Event]) -> int:
        """The number of the part that an event of this kind belongs to: the same as before, or a new one."""
        if self._kind is not None and (kind is not self._kind or kind is ToolStart):
            self._part += 1
        self._kind = kind
        return self._part

    def _due(self, everything: bool = False) -> tuple[TokenLogprob, ...]:
        due = []
        while self._waiting and (everything or self._waiting[0][0] < self._emitted):
            due.append(self._waiting.popleft()[1])
        return tuple(due)

    def _logprob(self, token: int, score: Score) -> TokenLogprob:
        own, best = score
        top = tuple(self._entry(other, logprob) for other, logprob in best)
        return self._entry(token, own, top)

    def _entry(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        data = self._detokenizer.piece(token)
        return TokenLogprob(token, data.decode("utf-8", "replace"), data, logprob, top)
