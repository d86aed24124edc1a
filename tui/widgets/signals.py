"""What widgets tell those above them."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class CopyWanted(Message):
    """`what` is a word for the note that follows."""

    text: str
    what: str


@dataclass
class Submitted(Message):
    """The prompt's text is to be sent (or obeyed, if it begins with a slash)."""

    text: str


@dataclass
class Drafted(Message):
    """The prompt's text was changed by the person."""

    text: str


@dataclass
class CommandWanted(Message):
    """A command of the registry was clicked."""

    name: str


@dataclass
class ChatChosen(Message):
    """A conversation of the list is to be shown."""

    chat: int


@dataclass
class EditWanted(Message):
    """The user's message with this id is to be written anew."""

    entry: int


@dataclass
class RegenerateWanted(Message):
    """Another answer beside this one is wanted."""

    entry: int


@dataclass
class SwitchWanted(Message):
    """The branch `step` places beside this message is to be shown."""

    entry: int
    step: int
