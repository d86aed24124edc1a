"""Which files a message names, however it is written around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.mentions import Mentions


@pytest.fixture
def mentions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mentions:
    for name in ("a.py", "my notes.txt", "deep/b.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return Mentions(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@a.py", ["a.py"]),
        ("What does @a.py do?", ["a.py"]),
        ("Read @a.py, then @deep/b.md.", ["a.py", "deep/b.md"]),
        ("(see @a.py)", ["a.py"]),
        ("(@a.py)", ["a.py"]),
        ('Sum up @"my notes.txt".', ["my notes.txt"]),
        ("@~/a.py", ["~/a.py"]),
        ("@a.py and again @a.py!", ["a.py"]),
        ("me@a.py", []),
        ("@nobody said so", []),
        ("@deep", []),
        ("@" + "x" * 5000, []),
    ],
)
async def test_names_in_a_sentence(mentions: Mentions, text: str, names: list[str]) -> None:
    assert [each.name for each in await mentions.attachments(text, None)] == names


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Look at @b.py.", ["b.py"]),
        ("Look at @deep/c and @a.py", ["deep/c"]),
        ("@dataclass and @app.route('/x') and @pytest.fixture", []),
        ("@anna, hello", []),
    ],
)
def test_what_looks_like_a_file_and_is_none(mentions: Mentions, text: str, missing: list[str]) -> None:
    assert mentions.missing(text) == missing


async def test_a_name_with_spaces_is_offered_so_that_it_can_be_read(mentions: Mentions) -> None:
    assert [each.text for each in await mentions.suggestions("notes")] == ['@"my notes.txt" ']
