"""Code that grows has the colours that it has at once, while most of it is not read again."""

from __future__ import annotations

import pytest
import textual.highlight

from tui.widgets.colouring import Colouring
from tui.widgets.document import Line

PLAIN = "".join(f"def f{index}(x):\n    return compute(x, {index})  # again\n\n" for index in range(20))
TEXTS = {
    "python": PLAIN,
    "yaml": "".join(f"key{index}:\n  - one\n  - {index}\n" for index in range(30)),
    "": PLAIN,
}


def same(some: tuple[Line, ...], others: tuple[Line, ...]) -> bool:
    return len(some) == len(others) and all(a.words.is_same(b.words) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("language", TEXTS)
def test_it_grows_as_it_would_be_at_once(language: str) -> None:
    growing, code = Colouring(), TEXTS[language]
    for end in range(7, len(code), 7):
        whole = Colouring().lines(code[:end], language)
        assert same(growing.lines(code[:end], language), whole), code[:end]
        assert "\n".join(line.words.plain for line in whole).rstrip("\n") == code[:end].rstrip("\n")


def test_most_of_it_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    highlight = textual.highlight.highlight

    def counted(code: str, **options):  # type: ignore[no-untyped-def]
        nonlocal read
        read += code.count("\n") + 1
        return highlight(code, **options)

    monkeypatch.setattr(textual.highlight, "highlight", counted)
    growing, lines = Colouring(), PLAIN.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        growing.lines("".join(lines[:count]), "python")
    assert read < len(lines) * (len(lines) + 1) / 4  # each time all of it would be twice that


def test_at_the_end_all_of_it_is_read() -> None:
    growing, code = Colouring(), "a = 1\n" * 32 + '"""open'
    for end in range(1, len(code) + 1):
        growing.lines(code[:end], "python")
    assert not growing.exact
    assert same(growing.lines(code, "python", exact=True), Colouring().lines(code, "python"))
    assert growing.exact


def test_another_text_is_read_anew() -> None:
    growing = Colouring()
    growing.lines(PLAIN, "python")
    assert same(growing.lines("x = 1\n" * 9, "python"), Colouring().lines("x = 1\n" * 9, "python"))
    assert same(growing.lines("x = 1\n" * 9, "yaml"), Colouring().lines("x = 1\n" * 9, "yaml"))
