"""What begins with a slash: the command it names, and what could be meant while it is typed."""

from __future__ import annotations

from collections.abc import Iterable

from tui.commands import COMMANDS, Command, Situation, available
from tui.widgets.suggestions import Suggestion

THEME, PRESET = "/theme ", "/preset "
"""Whose arguments are offered."""


def read(text: str) -> tuple[Command, str] | None:
    """The command of a prompt's text and its argument; None if the text is a message."""
    word, _, argument = text.partition(" ")
    if not word.startswith("/") or "\n" in text:
        return None
    found = next((command for command in COMMANDS if command.slash and command.slash == word[1:].lower()), None)
    return None if found is None or (argument.strip() and not found.argument) else (found, argument.strip())


def unknown(text: str) -> str | None:
    """The word of a text that looks like a command and is none; paths and longer texts are messages."""
    word = text[1:].split(None, 1)[0] if text.startswith("/") and text[1:].strip() else ""
    return word if word.isalpha() and "\n" not in text and " " not in text else None


def named(text: str, command: str, names: Iterable[str]) -> list[Suggestion]:
    """Of `names`, those that may be meant behind `command`; names with spaces are left to be written."""
    begun = text.removeprefix(command).lower()
    found = [name for name in names if begun in name.lower() and " " not in name]
    found.sort(key=lambda name: not name.lower().startswith(begun))
    return [] if [name.lower() for name in found] == [begun] else [Suggestion(name) for name in found]


def suggestions(text: str, situation: Situation) -> list[Suggestion]:
    """While one word with a slash is all there is."""
    if not text.startswith("/") or " " in text or "\n" in text:
        return []
    begun = text[1:].lower()
    commands = [command for command in available(situation) if command.slash and command.slash.startswith(begun)]
    if [command.slash for command in commands] == [begun]:
        return []
    return [Suggestion(f"/{command.slash}" + (" " if command.argument else ""), command.title) for command in commands]
