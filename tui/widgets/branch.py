"""Which of several versions of a message is shown, as `2/3` between two arrows that can be clicked."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.style import Style

from tui.store.records import Entry

_BEFORE, _AFTER = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


def marker(entry: Entry) -> list[Content]:
    """Empty where there is one version only."""
    if entry.of < 2:
        return []
    before = Content.styled(f"{_BEFORE} ", Style.from_meta({"step": -1}))
    after = Content.styled(f" {_AFTER}", Style.from_meta({"step": 1}))
    return [Content.assemble(before, f"{entry.place}/{entry.of}", after)]


def step(event: Click) -> int:
    """1 or -1 if an arrow was clicked, else 0."""
    return int(event.style.meta.get("step", 0))
