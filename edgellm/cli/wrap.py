"""Breaks a stream of text into lines at words, for a terminal that would break it anywhere."""

from __future__ import annotations

import re

_FENCE = re.compile(r"\s*(`{3,})([^`]*)\Z")
_TAB = 8


class WordWrap:
    """Feed it text as it comes; all it does is put newlines before words that would cross `width` columns.

    A word is held back until it is complete. One that no line could hold is passed on as it comes, as is everything
    inside a fence of backticks. The last column is kept for the space after a word.
    """

    def __init__(self, width: int) -> None:
        self._width = max(4, width)
        self._column = 0
        self._word = ""
        self._word_cells = 0
        self._too_long = False  # the word that comes just now, whose beginning is shown already
        self._line: list[str] = []  # as it came, for fences
        self._fence = 0  # backticks of the fence around this line, 0 outside

    def feed(self, text: str) -> str:
        """What can be shown now."""
        return "".join([self._take(character) for character in text])

    def flush(self) -> str:
        """The word that was held back."""
        shown = self._word
        if self._column and self._word_cells and self._column + self._word_cells >= self._width:
            shown, self._column = "\n" + shown, 0
        self._column += self._word_cells
        self._word, self._word_cells, self._too_long = "", 0, False
        return shown

    def _take(self, character: str) -> str:
        if character == "\n":
            return self._newline()
        self._line.append(character)
        if self._is_verbatim():
            return self._pass_on(character)
        if character in " \t":
            return self.flush() + self._space(character)
        cells = _cells(character)
        if cells > 1:  # scripts without spaces between words, and emoji: a line may break at each
            return self.flush() + self._hold(character, cells) + self.flush()
        return self._hold(character, cells)

    def _newline(self) -> str:
        shown = self.flush() + "\n"
        fence = _FENCE.match("".join(self._line))
        if fence and not self._fence:
            self._fence = len(fence[1])
        elif fence and len(fence[1]) >= self._fence and not fence[2].strip():
            self._fence = 0
        self._line.clear()
        self._column = 0
        return shown

    def _is_verbatim(self) -> bool:
        """Whether this line is in a fence, or is one, as far as it has come."""
        return bool(self._fence) or "".join(self._line[:80]).lstrip().startswith("```")

    def _pass_on(self, character: str) -> str:
        shown, cells = self._word + character, self._word_cells + _cells(character)
        self._word, self._word_cells = "", 0
        self._column = (self._column + cells - 1) % self._width + 1  # the terminal goes on at the left by itself
        return shown

    def _space(self, character: str) -> str:
        cells = 1 if character == " " else _TAB - self._column % _TAB
        broken = self._column >= self._width
        self._column = min(self._width, cells if broken else self._column + cells)
        return "\n" + character if broken else character

    def _hold(self, character: str, cells: int) -> str:
        if self._too_long or self._word_cells + cells >= self._width:
            self._too_long = True
            return self._pass_on(character)
        self._word += character
        self._word_cells += cells
        return ""


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    from rich.cells import get_character_cell_size

    return get_character_cell_size(character)
