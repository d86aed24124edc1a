"""Tells that a conversation does not fit its context any more, what each way out would leave out, and asks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from tui.notices import Offer, Outgrown
from tui.screens.dialog import Dialog
from tui.store.records import Entry
from tui.widgets.figures import tokens
from tui.widgets.spaced_list import SpacedList, row_of

LONGEST = 40
_TITLES = {
    "drop": "Leave out the oldest messages, once",
    "window": "Keep the latest messages, now and from here on",
    "summary": "Put a summary in place of the oldest messages",
}


class OutgrownScreen(Dialog[Offer]):
    def __init__(self, outgrown: Outgrown, path: Sequence[Entry]) -> None:
        super().__init__()
        self._outgrown = outgrown
        self._path = path

    def compose(self) -> ComposeResult:
        meter = self._outgrown.meter
        needed = f"It needs {tokens(meter.used)} tokens and {tokens(meter.reserve)} for the answer"
        with Vertical(classes="dialog"):
            yield Static("The conversation is longer than the model's context", classes="title")
            holds = f"the context holds {tokens(meter.limit)}. Nothing was cut."
            yield Static(f"{needed}; {holds}", classes="about", markup=False)
            if self._outgrown.offers:
                yield SpacedList(map(self._row, self._outgrown.offers))
                yield Static("Enter chooses   Esc decides later", classes="hint")
            else:
                yield Static("Even the last message alone is too long. Shorten it (^E).   Esc closes", classes="hint")

    def _row(self, offer: Offer) -> Content:
        count = offer.left_out
        last = _plain(self._path[count - 1].text) if 0 < count <= len(self._path) else ""
        plural = "s" * (count != 1)
        about = f"{count} message{plural} up to “{last}” left out; {tokens(offer.used)} tokens remain"
        title = Content.styled(_TITLES[offer.kind], "bold")
        return Content("\n").join([title, Content.styled(about, "$text-muted")])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._outgrown.offers[row_of(event.option)])


def _plain(text: str) -> str:
    """The first words, on one line and without marks of Markdown."""
    words = " ".join(re.sub(r"[*`#_>|]+", "", text).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1].rstrip() + "…"
