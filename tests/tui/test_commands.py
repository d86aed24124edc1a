"""Tests of `tui.commands`: one registry, and no command in it that does nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tui.actions import Actions
from tui.commands import COMMANDS, Command, Situation, available

EVERY = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@EVERY
def test_a_command_is_described_and_reachable(command: Command) -> None:
    assert command.title and command.help.endswith(".") and not command.title.endswith(".")
    assert command.keys or command.slash
    assert command.slash == command.slash.lower() and " " not in command.slash
    assert not command.argument or command.slash


@EVERY
def test_the_app_can_do_it(command: Command) -> None:
    assert callable(getattr(Actions, command.name, None))


@pytest.mark.parametrize("field", ["name", "slash", "title"])
def test_no_two_commands_share_a_word(field: str) -> None:
    values = [value for command in COMMANDS if (value := getattr(command, field))]
    assert max(Counter(values).values()) == 1


def test_no_two_commands_share_a_key() -> None:
    assert max(Counter(key for command in COMMANDS for key in command.keys).values()) == 1


def test_the_situation_decides() -> None:
    empty = {command.name for command in available(Situation())}
    assert {"new", "quit", "help"} <= empty and not {"stop", "undo", "regenerate", "delete"} & empty
    assert "stop" in {command.name for command in available(Situation(state="streaming"))}
    assert "undo" in {command.name for command in available(Situation(can_undo=True))}
