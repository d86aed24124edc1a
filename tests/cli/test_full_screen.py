"""Where the chat app is opened, and where lines are used instead."""

from __future__ import annotations

import pytest

from edgellm.cli import full_screen


class Stream:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminals", "environ", "possible"),
    [
        ((True, True, True), {"TERM": "xterm-256color"}, True),
        ((True, True, True), {"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        ((True, True, True), {"TERM": "tmux-256color", "SSH_CONNECTION": "1 2 3 4"}, True),
        ((True, True, True), {"TERM": "dumb"}, False),
        ((True, True, False), {"TERM": "xterm-256color"}, False),
        ((False, True, True), {"TERM": "xterm-256color"}, False),
        ((False, False, False), {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}, True),
    ],
)
def test_the_app_needs_a_terminal_or_a_browser(
    monkeypatch: pytest.MonkeyPatch, terminals: tuple[bool, bool, bool], environ: dict[str, str], possible: bool
) -> None:
    for name, terminal in zip(("stdin", "stdout", "stderr"), terminals, strict=True):
        monkeypatch.setattr(f"sys.{name}", Stream(terminal))
    assert full_screen.possible(environ) is possible
