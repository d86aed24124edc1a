"""What is drawn of a text that grows is what would be drawn of it at once; rows that stay are not drawn anew."""

from __future__ import annotations

from hypothesis import example, given, settings, strategies as st
from textual.content import Content
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions

from tui.widgets.document import Document
from tui.widgets.feed import Feed
from tui.widgets.markdown import Prose

WORDS = st.lists(
    st.sampled_from(
        [
            "word ",
            "**bold ",
            "bold** ",
            "`code` ",
            "a" * 45 + " ",
            "宽字符",
            "\t",
            "  ",
            "\n",
            "\n\n",
            "- ",
            "1. ",
            "*x*",
        ]
    ),
    min_size=1,
    max_size=60,
)
STYLE = Style()


def options() -> RenderOptions:
    return RenderOptions(lambda style: style if isinstance(style, Style) else Style(bold=True), {}, None, None)


def drawn(document: Document, width: int) -> list[Strip]:
    return document.render_strips(width, None, STYLE, options())


def blocks(feed: Feed, text: str) -> tuple:
    feed.feed(text)
    return tuple(block for part in feed.parts if isinstance(part, Prose) for block in part.blocks)


@settings(max_examples=60, deadline=None)
@example(["宽字符", "a" * 45 + " ", "word ", "word "], 17)
@given(WORDS, st.integers(10, 50))
def test_a_text_that_grows_is_drawn_as_it_would_be_at_once(words: list[str], width: int) -> None:
    growing, feed, text = Document(), Feed(), ""
    for word in words:
        text += word
        growing.show(blocks(feed, text))
        assert drawn(growing, width) == drawn(Document(growing.blocks), width)


def test_rows_that_stay_are_the_same_objects() -> None:
    document, feed = Document(), Feed()
    text = "Words follow words in a line of **plain** prose. " * 20
    document.show(blocks(feed, text))
    before = drawn(document, 40)
    document.show(blocks(feed, text + "And some more."))
    after = drawn(document, 40)
    assert len(before) > 20
    assert [old is new for old, new in zip(before[:-2], after, strict=False)] == [True] * (len(before) - 2)
    assert [row.text for row in after] != [row.text for row in before]


def test_a_style_that_reaches_back_is_drawn() -> None:
    document = Document(blocks(Feed(), "word " * 30 + "**bold"))
    drawn(document, 40)
    document.show(blocks(Feed(), "word **" + "word " * 28 + "bold**"))
    assert drawn(document, 40) == drawn(Document(document.blocks), 40)
    assert Content("x").is_same(Content("x")) and not Content("x").is_same(Content.styled("x", "bold"))
