"""Screens of a terminal, one after the other, as one SVG that plays by itself: no script, no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

WIDE, HIGH, SIZE = 12.2, 24.4, 20
"""Of a cell and of a letter, in the picture's units."""
TOP, EDGE = 40, 9
"""Room for the window's frame."""
_FONT = "Fira Code,Cascadia Code,SF Mono,Menlo,Consolas,DejaVu Sans Mono,monospace"
_WINDOW = """\
<rect fill="#292929" stroke="rgba(255,255,255,0.35)" x="1" y="1" width="{0:.0f}" height="{1:.0f}" rx="8"/>
<g transform="translate(26,22)"><circle cx="0" r="7" fill="#ff5f57"/><circle cx="22" r="7" fill="#febc2e"/>\
<circle cx="44" r="7" fill="#28c840"/></g>
"""


class Film:
    """Of screens of `columns` times `rows` cells. Rows that look alike are drawn once, wherever they are."""

    def __init__(self, columns: int, rows: int, background: str) -> None:
        self._columns, self._rows, self._background = columns, rows, background
        self._classes: dict[str, str] = {}
        self._drawn: dict[str, str] = {}
        self._frames: list[tuple[float, tuple[str, ...]]] = []

    def add(self, screen: Iterable[Iterable[Segment]], lasts_s: float) -> None:
        """One more screen, for so long; longer for the one before where nothing changed."""
        rows = tuple(self._row(list(segments)) for segments in screen)
        if self._frames and self._frames[-1][1] == rows:
            lasts_s += self._frames.pop()[0]
        self._frames.append((lasts_s, rows))

    def __len__(self) -> int:
        return len(self._frames)

    def svg(self) -> str:
        """The last screen is what a still picture shows, also to those who asked for less motion."""
        width, height = self._columns * WIDE, self._rows * HIGH
        whole = (width + 2 * EDGE, height + TOP + EDGE)
        styles = [f".{name}{{{rules}}}" for rules, name in self._classes.items()]
        rows = [f'<g id="{name}">{drawn}</g>' for drawn, name in self._drawn.items()]
        frames = [self._frame(index, names, width) for index, (_, names) in enumerate(self._frames)]
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]:.0f} {whole[1]:.0f}">'
        text = f"text{{font:{SIZE}px {_FONT};white-space:pre;font-variant-ligatures:none}}"
        return "\n".join(
            [
                head,
                f"<style>{text}{''.join(styles)}{self._play(width)}</style>",
                f"<defs>{''.join(rows)}</defs>",
                _WINDOW.format(whole[0] - 2, whole[1] - 2).rstrip(),
                f'<svg x="{EDGE}" y="{TOP}" width="{width:.1f}" height="{height:.1f}">',
                f'<rect width="100%" height="100%" fill="{self._background}"/>',
                f'<g class="film">{"".join(frames)}</g>',
                "</svg>",
                "</svg>",
                "",
            ]
        )

    def _play(self, width: float) -> str:
        whole = sum(lasts for lasts, _ in self._frames)
        steps, begin = [], 0.0
        for index, (lasts, _) in enumerate(self._frames):
            steps.append(f"{begin / whole:.3%}{{transform:translateX({-index * width:.0f}px)}}")
            begin += lasts
        last = f".film{{transform:translateX({-(len(self._frames) - 1) * width:.0f}px)}}"
        moving = f"@media(prefers-reduced-motion:no-preference){{.film{{animation:f {whole:.1f}s step-end infinite}}}}"
        return f"{last}{moving}@keyframes f{{{''.join(steps)}}}"

    def _frame(self, index: int, names: Sequence[str], width: float) -> str:
        uses = "".join(f'<use href="#{name}" y="{y * HIGH:.1f}"/>' for y, name in enumerate(names) if name)
        return f'<g transform="translate({index * width:.0f})">{uses}</g>'

    def _row(self, segments: Sequence[Segment]) -> str:
        """The name of a row that looks so; "" for an empty one."""
        drawn, x = "", 0
        for style, run in groupby(segments, key=lambda segment: segment.style):
            text = "".join(segment.text for segment in run)
            drawn += self._run(text, style or Style.null(), x)
            x += cell_len(text)
        return self._drawn.setdefault(drawn, f"r{len(self._drawn)}") if drawn else ""

    def _run(self, text: str, style: Style, x: int) -> str:
        front, back = _colour(style, front=True), _colour(style, front=False)
        if style.reverse:
            front, back = back or self._background, front or "#ffffff"
        if style.dim and front:
            front = _between(front, back or self._background)
        place, length = f"{x * WIDE:.1f}", f"{cell_len(text) * WIDE:.1f}"
        drawn = ""
        if back and back != self._background:
            drawn = (
                f'<rect x="{place}" width="{length}" height="{HIGH + 0.3:.1f}" class="{self._class(f"fill:{back}")}"/>'
            )
        if text.strip():
            rules = f"fill:{front or '#ffffff'}" + ";font-weight:bold" * bool(style.bold)
            rules += ";font-style:italic" * bool(style.italic) + ";text-decoration:underline" * bool(style.underline)
            begin = len(text) - len(text.lstrip())
            words, place = text.strip(), f"{(x + begin) * WIDE:.1f}"
            length = f"{cell_len(words) * WIDE:.1f}"
            spread = f' textLength="{length}"' if len(words) > 1 else ""
            drawn += f'<text x="{place}" y="{SIZE - 1.5}"{spread} class="{self._class(rules)}">{escape(words)}</text>'
        return drawn

    def _class(self, rules: str) -> str:
        return self._classes.setdefault(rules, f"c{len(self._classes)}")


def _colour(style: Style, *, front: bool) -> str:
    colour = style.color if front else style.bgcolor
    return "" if colour is None or colour.is_default else colour.get_truecolor(foreground=front).hex


def _between(front: str, back: str) -> str:
    """Half of both, as terminals dim letters."""
    pairs = zip(bytes.fromhex(front[1:]), bytes.fromhex(back[1:]), strict=True)
    return "#" + "".join(f"{(one + other) // 2:02x}" for one, other in pairs)
