"""A conversation in lines: keeps the messages, answers each turn, and obeys what starts with a slash."""

from __future__ import annotations

import sys

from edgellm import messages
from edgellm.cli import speculation_text
from edgellm.cli.answer import Answer
from edgellm.cli.lines import LineReader
from edgellm.cli.prompt import Wishes
from edgellm.cli.session import Session
from edgellm.errors import ContextOverflow, EdgeLLMError
from edgellm.messages import Message
from edgellm.request import Conversation

HELP = '''\
/system TEXT   give the model instructions (alone: show them)
/clear         forget the conversation, keep the instructions
/stats         token counts and speeds of the last answer
/help          this list
/bye, /exit    leave (Ctrl-D too)
"""            begin and end a message of several lines
Ctrl-C         stop an answer; at the prompt: leave'''


class LineChat:
    """`history` holds what both sides said, without the system message. Notes go to stderr, answers to stdout."""

    def __init__(self, session: Session, reader: LineReader, wishes: Wishes, system: str = "") -> None:
        self._session = session
        self._reader = reader
        self._wishes = wishes
        self._last: Answer | None = None
        self._failed = False
        self.system = system
        self.history: list[Message] = []

    def run(self) -> int:
        """Until the end of the input. A person gets 0; a pipe gets 1 if a turn failed, 130 if it was interrupted."""
        if self._reader.interactive:
            _note(f"{self._session.model.info.name}: /help lists commands, Ctrl-D leaves")
        try:
            while (text := self._reader.read()) is not None and self._take(text):
                pass
        except KeyboardInterrupt:
            if not self._reader.interactive:
                raise
        if self._reader.interactive:
            print(file=sys.stderr)
            return 0
        return 1 if self._failed else 0

    def _take(self, text: str) -> bool:
        """Answer or obey `text`; False if it asks to leave."""
        if not text.startswith("/"):
            self._turn(text)
            return True
        command, _, rest = text.partition(" ")
        return self._obey(command, rest.strip())

    def _obey(self, command: str, rest: str) -> bool:
        match command:
            case "/bye" | "/exit":
                return False
            case "/clear":
                self.history.clear()
                _note("The conversation is forgotten.")
            case "/system":
                self.system = rest or self.system
                _note(f"Instructions: {self.system}" if self.system else "There are no instructions.")
            case "/stats":
                self._stats()
            case "/help":
                _note(HELP)
            case _:
                _note(f"There is no command {command}; /help lists them.")
        return True

    def _stats(self) -> None:
        if self._last is None:
            _note("There is no answer yet.")
            return
        _note(self._last.stats)
        _note(speculation_text.line(self._session.run(self._session.model.status()).speculation))

    def _turn(self, text: str) -> None:
        """One question and its answer. A turn that fails leaves no trace in the history."""
        question, answer, model = messages.user(text), Answer(self._wishes.hide_thinking), self._session.model
        request = self._wishes.request(Conversation(self._messages(question)), model.info)
        try:
            self._session.run(answer.stream(model, request))
        except KeyboardInterrupt:
            _note("(stopped)")
        except EdgeLLMError as error:
            self._failed = True
            _note(f"error: {error}{_ADVICE if isinstance(error, ContextOverflow) else ''}")
            return
        self._last = answer
        if answer.text:
            self.history += (question, messages.assistant(answer.text))
        if answer.note:
            _note(f"({answer.note})")

    def _messages(self, question: Message) -> tuple[Message, ...]:
        first = [messages.system(self.system)] if self.system else []
        return (*first, *self.history, question)


_ADVICE = " Nothing was cut: type /clear to begin anew, or ask something shorter."


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
