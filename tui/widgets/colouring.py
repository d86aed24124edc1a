"""Colours code line by line while it is written: what stands above a line that the lexer can begin at is kept."""

from __future__ import annotations

from textual.content import Content

from tui.widgets.document import Line

ABOVE = 6
"""Lines above the last one where the lexer is tried to begin."""
AGAIN = 24
"""Lines after which another place is looked for."""


class Colouring:
    """`lines` takes a text that begins with what it was given before; `exact` if all of it was read at once.

    A lexer may begin at a line if it reads what stands below as it did with all above. What comes later could still
    show that it may not (the end of a string, say): at the end, all is to be read at once.
    """

    def __init__(self) -> None:
        self.exact = True
        self._language = ""
        self._above: list[str] = []
        self._kept: list[Line] = []

    def lines(self, code: str, language: str, *, exact: bool = False) -> tuple[Line, ...]:
        text = code.splitlines() or [""]
        below = text[len(self._above) :]
        follows = language == self._language and text[: len(self._above)] == self._above
        if not exact and self._above and follows and 0 < len(below) <= AGAIN:
            self.exact = False
            return (*self._kept, *_coloured(below, language))
        self.exact, self._language = True, language
        lines = _coloured(text, language)
        self._keep(text, lines)
        return tuple(lines)

    def _keep(self, text: list[str], lines: list[Line]) -> None:
        place = max(0, len(text) - ABOVE)
        if place and not _same(_coloured(text[place:], self._language), lines[place:]):
            place = 0
        self._above, self._kept = text[:place], lines[:place]


def _same(lines: list[Line], others: list[Line]) -> bool:
    return all(line.words.is_same(other.words) for line, other in zip(lines, others, strict=True))


def _coloured(text: list[str], language: str) -> list[Line]:
    return [Line(words) for words in _highlighted("\n".join(text), language).split("\n", allow_blank=True)]


def _highlighted(code: str, language: str) -> Content:
    """In the theme's colours; languages that nobody knows stay plain."""
    if not language:
        return Content(code)
    from textual.highlight import highlight

    from tui.widgets.code_colours import CodeColours

    return highlight(code, language=language, theme=CodeColours, tab_size=4)
