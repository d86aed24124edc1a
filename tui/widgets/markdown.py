"""Markdown to parts: runs of prose (blocks for a `Document`) and fences of code; a pure function of the text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
from textual.content import Content, Span

from tui.widgets.document import NOTHING, Block, Line
from tui.widgets.table import Table

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

BULLETS = "•◦▪"
CODE, QUOTE, MARK = "$text-code", "$text-muted", "$accent"
_INLINE = {"strong": "bold", "em": "italic", "s": "strike"}


class Lines(msgspec.Struct, frozen=True, eq=False):
    """A block whose lines are the same for every width."""

    content: tuple[Line, ...]
    gap: bool = True

    def lines(self, width: int) -> Sequence[Line]:
        return self.content


class Rule(msgspec.Struct, frozen=True, eq=False):
    """A line across."""

    gap: bool = True

    def lines(self, width: int) -> Sequence[Line]:
        return (Line(Content.styled("─" * max(1, width), "$foreground 25%")),)


class Prose(msgspec.Struct, frozen=True, eq=False):
    blocks: tuple[Block, ...]


class Fence(msgspec.Struct, frozen=True, eq=False):
    """Code as it was written."""

    code: str
    language: str = ""


Part = Prose | Fence


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough; loaded when the first answer is drawn."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def nodes(text: str) -> list[SyntaxTreeNode]:
    """The top-level blocks of `text`."""
    from markdown_it.tree import SyntaxTreeNode

    return list(SyntaxTreeNode(parser().parse(text)).children)


def read(text: str, *, gap: bool = True) -> list[Part]:
    """The parts of `text`; `gap` False if it goes on with a list right below that list's last item."""
    return parts(nodes(text), text.split("\n"), gap)


def parts(blocks: Sequence[SyntaxTreeNode], lines: Sequence[str], gap: bool) -> list[Part]:
    """`lines` are those of the text that `blocks` were read from."""
    found: list[Part] = []
    for is_fence, group in groupby(blocks, lambda node: node.type in ("fence", "code_block")):
        if is_fence:
            found += [Fence(node.content.rstrip("\n"), _language(node)) for node in group]
        else:
            prose = [block for node in group for block in _blocks(node, lines, gap or node is not blocks[0])]
            drawn = tuple(block for block in prose if not isinstance(block, Lines) or block.content)
            found += [Prose(drawn)] if drawn else []
    return found


def _language(node: SyntaxTreeNode) -> str:
    return node.info.split()[0] if node.type == "fence" and node.info.strip() else ""


def _blocks(node: SyntaxTreeNode, source: Sequence[str], gap: bool) -> list[Block]:
    match node.type:
        case "bullet_list" | "ordered_list":
            return [
                Lines(tuple(_item(item, NOTHING, 0)), gap=gap if index == 0 else _blank_before(item, source))
                for index, item in enumerate(node.children)
            ]
        case "table":
            return [Table(*_cells(node))]
        case "hr":
            return [Rule()]
        case _:
            return [Lines(tuple(_lines(node, NOTHING, NOTHING, 0)))]


def _blank_before(node: SyntaxTreeNode, source: Sequence[str]) -> bool:
    start = node.map[0] if node.map else 0
    return 0 < start <= len(source) and not source[start - 1].strip()


def _lines(node: SyntaxTreeNode, first: Content, rest: Content, depth: int) -> list[Line]:
    """Any block as lines; `first` stands before the first of them, `rest` before the others."""
    match node.type:
        case "heading":
            style = "bold $accent" if node.tag in ("h1", "h2") else "bold"
            return _words(_inline(node).stylize_before(style), first, rest)
        case "paragraph":
            return _words(_inline(node), first, rest)
        case "fence" | "code_block":
            code = node.content.rstrip("\n").split("\n")
            styled = [Content.styled(f" {line}", CODE) for line in code]
            return [Line(line, *_pair(first, rest, index)) for index, line in enumerate(styled)]
        case "bullet_list" | "ordered_list":
            return _list(node, first, rest, depth)
        case "blockquote":
            bar = Content.styled("▎ ", MARK)
            return _children(node, first + bar, rest + bar, depth)
        case "table":
            header, rows, _ = _cells(node)
            text = [" | ".join(cell.plain for cell in row) for row in (header, *rows)]
            return [Line(Content(row), *_pair(first, rest, index)) for index, row in enumerate(text)]
        case "hr":
            return [Line(Content.styled("───", "dim"), first, rest)]
        case _:
            return _words(Content(node.content.rstrip("\n")), first, rest)


def _pair(first: Content, rest: Content, index: int) -> tuple[Content, Content]:
    return (first if index == 0 else rest), rest


def _words(words: Content, first: Content, rest: Content) -> list[Line]:
    return [Line(line, *_pair(first, rest, index)) for index, line in enumerate(words.split("\n", allow_blank=True))]


def _list(node: SyntaxTreeNode, first: Content, rest: Content, depth: int) -> list[Line]:
    lines: list[Line] = []
    for item in node.children:
        lines += _item(item, rest, depth, rest if lines else first)
    return lines


def _children(node: SyntaxTreeNode, first: Content, rest: Content, depth: int) -> list[Line]:
    """The blocks in `node`, an empty line between paragraphs."""
    lines: list[Line] = []
    for index, child in enumerate(node.children):
        if index and child.type == "paragraph":
            lines.append(Line(NOTHING, rest, rest))
        lines += _lines(child, rest if lines else first, rest, depth)
    return lines


def _item(item: SyntaxTreeNode, indent: Content, depth: int, first: Content | None = None) -> list[Line]:
    number = f"{item.info}." if item.info else BULLETS[min(depth, len(BULLETS) - 1)]
    mark = (indent if first is None else first) + Content.styled(f"{number} ", MARK)
    rest = indent + " " * (len(number) + 1)
    return _children(item, mark, rest, depth + 1) or [Line(NOTHING, mark, rest)]


def _cells(table: SyntaxTreeNode) -> tuple[tuple[Content, ...], tuple[tuple[Content, ...], ...], tuple[str, ...]]:
    """Header, rows and alignments."""
    rows = [row for section in table.children for row in section.children]
    cells = [tuple(_inline(cell) for cell in row.children) for row in rows]
    aligned = tuple(str(cell.attrs.get("style", "")).rpartition(":")[2] for cell in rows[0].children)
    return cells[0], tuple(cells[1:]), aligned


def _inline(node: SyntaxTreeNode) -> Content:
    """The words of a block with their styles."""
    text: list[str] = []
    spans: list[Span] = []
    for child in node.children:
        _collect(child, text, spans)
    return Content("".join(text), spans)


def _collect(node: SyntaxTreeNode, text: list[str], spans: list[Span]) -> None:
    start = sum(map(len, text))
    match node.type:
        case "softbreak" | "hardbreak":
            text.append("\n")
        case "code_inline":
            text.append(node.content)
            spans.append(Span(start, start + len(node.content), CODE))
        case "image":
            text.append(f"[image: {node.content}]" if node.content else "[image]")
        case "text" | "html_inline":
            text.append(node.content)
        case _:
            for child in node.children:
                _collect(child, text, spans)
            _style(node, start, text, spans)


def _style(node: SyntaxTreeNode, start: int, text: list[str], spans: list[Span]) -> None:
    if node.type == "link":
        target = str(node.attrs.get("href", ""))
        words = "".join(text)[start:]
        spans.append(Span(start, start + len(words), "underline"))
        if target and target != words:
            text.append(f" ({target})")
            spans.append(Span(start + len(words), start + len(words) + len(target) + 3, "dim"))
    elif style := _INLINE.get(node.type):
        spans.append(Span(start, sum(map(len, text)), style))
