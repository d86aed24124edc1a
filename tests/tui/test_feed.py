"""Markdown that arrives in pieces is drawn as the same Markdown that arrives at once."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from tui.widgets.document import Document
from tui.widgets.feed import Feed
from tui.widgets.markdown import Fence, Prose

SNIPPETS = (
    "# Title\n\n",
    "Some *words* and `code`.\nAnother line\n\n",
    "- one\n- two\n  - nested\n\n- three\n\n",
    "1. first\n2. second\n   ```sh\n   ls\n   ```\n\n",
    "```python\ndef f():\n\n    return 1\n```\n\n",
    "| a | b |\n|---|--:|\n| long words here | 2 |\n\n",
    "> quoted\n> **twice**\n\n",
    "A [link][ref] to somewhere.\n\n",
    "[ref]: https://example.org\n\n",
    "---\n\n",
    "Setext\n======\n\n",
)


def shown(feed: Feed) -> list[str]:
    lines: list[str] = []
    for part in feed.parts:
        if isinstance(part, Prose):
            lines += [line.first.plain + line.words.plain for line in Document(part.blocks).all_lines(40)]
        else:
            lines += [f"```{part.language}", *part.code.split("\n")]
    return lines


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=8), st.integers(1, 40))
def test_pieces_end_as_the_whole(snippets: list[str], size: int) -> None:
    text = "".join(snippets)
    whole, pieces = Feed(), Feed()
    whole.feed(text, final=True)
    for end in range(size, len(text), size):
        pieces.feed(text[:end])
    pieces.feed(text, final=True)
    assert shown(pieces) == shown(whole)


@settings(max_examples=100, deadline=None)
@given(st.text("ab `*_#->|[]()\n1.~", max_size=80), st.integers(10, 60))
def test_any_text_is_drawn_within_its_width_and_nothing_fails(text: str, width: int) -> None:
    feed = Feed()
    for end in range(0, len(text), 5):
        feed.feed(text[:end])
    feed.feed(text, final=True)
    for part in feed.parts:
        if isinstance(part, Prose):
            document = Document(part.blocks)
            assert document.height(width) >= len(part.blocks)


def test_what_is_closed_stays_the_same_object() -> None:
    feed = Feed()
    feed.feed("One.\n\n```py\na\n```\n\nTwo")
    before = feed.parts[:2]
    feed.feed("One.\n\n```py\na\n```\n\nTwo and more")
    assert feed.parts[0] is before[0] and feed.parts[1] is before[1]
    assert isinstance(feed.parts[1], Fence) and feed.changed >= 1


def test_a_fence_that_is_not_closed_yet_is_code() -> None:
    feed = Feed()
    feed.feed("Look:\n\n```python\ndef f(")
    assert isinstance(feed.parts[1], Fence)
    assert (feed.parts[1].language, feed.parts[1].code) == ("python", "def f(")
