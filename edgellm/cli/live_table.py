"""The live table of `edgellm serve` on a terminal: models, requests and speed, redrawn while the server runs."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from edgellm.cli.live_figures import Figures, ModelRow, RequestRow
    from edgellm.server.serve import Serving

EACH_S = 0.5
WIDE = 100
"""Columns from which on there is room for everything."""
_FRAME_LINES = 9
_STATES = {"loaded": "green", "loading": "yellow", "unloading": "dim"}


def possible() -> bool:
    """Whether stdout is a terminal that can be redrawn."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


async def shown(serving: Serving) -> None:
    """Redraw until cancelled; then a line says what there was."""
    from rich.console import Console
    from rich.live import Live

    from edgellm.cli.live_figures import Watch

    console, watch = Console(), Watch(serving)
    figures = await watch.look()
    try:
        with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            while True:
                live.update(picture(figures, console.width, console.height), refresh=True)
                await asyncio.sleep(EACH_S)
                figures = await watch.look()
    finally:
        console.print(_summary(figures), style="dim", highlight=False)


def picture(figures: Figures, width: int, height: int) -> RenderableType:
    """What is drawn in a terminal of `width` columns and `height` lines."""
    from rich.console import Group
    from rich.text import Text

    models = figures.models
    room = max(1, height - _FRAME_LINES - max(1, len(models)))
    parts: list[RenderableType] = [_title(figures), Text()]
    parts.append(_models(models) if models else Text(" No model is loaded: a request loads it.", style="dim"))
    parts.append(Text())
    parts.append(
        _requests(figures.requests[:room], width)
        if figures.requests
        else Text(
            " No request yet. Programs that speak to OpenAI, Anthropic or Ollama can use this address.", style="dim"
        )
    )
    return Group(*parts, Text(), _foot(figures))


def _title(figures: Figures) -> Table:
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, min_width=len(figures.url) + 12)
    line.add_column(justify="right", no_wrap=True, overflow="ellipsis")
    address = Text(" edgellm  ", style="bold").append(figures.url, style="bold cyan not bold")
    line.add_row(address, _access(figures))
    return line


def _access(figures: Figures) -> Text:
    from rich.text import Text

    if figures.stopping_in_s is not None:
        return Text(f"stopping, at the latest in {figures.stopping_in_s:.0f} s · Ctrl-C: at once ", style="yellow")
    if figures.open_to_all:
        return Text("open to everybody, without a key ", style="bold red")
    return Text("asks for keys · Ctrl-C stops " if figures.asks else "this machine only · Ctrl-C stops ", style="dim")


def _plain_table(*columns: tuple[str, bool], second: int | None = None) -> Table:
    """Columns of (name, holds numbers); the first takes what is left, the second at most `second`."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), expand=True, header_style="dim")
    for index, (name, is_number) in enumerate(columns):
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=None if index else 1,
            min_width=len(name) if is_number else None,
            max_width=second if index == 1 else None,
        )
    return table


def _models(rows: tuple[ModelRow, ...]) -> Table:
    from rich.text import Text

    from edgellm.download.report import size

    columns = [
        (" MODEL", False),
        ("STATE", False),
        *((name, True) for name in ("MEMORY", "RUN", "WAIT", "KV", "TOK/S")),
    ]
    table = _plain_table(*columns)
    for row in rows:
        table.add_row(
            f" {row.name}",
            Text(row.state, style=_STATES.get(row.state, "")),
            size(row.memory_bytes) if row.memory_bytes else "",
            _count(row.running),
            Text(_count(row.waiting), style="yellow" if row.waiting else ""),
            "" if row.kv is None else f"{100 * row.kv:.0f} %",
            _speed(row.tokens_per_second),
        )
    return table


def _requests(rows: tuple[RequestRow, ...], width: int) -> Table:
    wide = width >= WIDE
    columns = [
        (" REQUEST", False),
        ("MODEL", False),
        ("STATUS", True),
        ("PROMPT", True),
        ("ANSWER", True),
        ("TIME", True),
    ]
    table = _plain_table(*columns, *([("TOK/S", True)] if wide else []), second=max(10, width - (68 if wide else 58)))
    for row in rows:
        cells: list[str | Text] = [
            f" {row.route}",
            row.model,
            _status(row),
            _count(row.prompt_tokens),
            _count(row.completion_tokens),
            _time(row.seconds),
        ]
        table.add_row(*cells, *([_speed(row.tokens_per_second)] if wide else []), style="dim" if row.ended else "")
    return table


def _status(row: RequestRow) -> Text:
    from rich.text import Text

    if not row.ended:
        return Text(
            "running" if row.completion_tokens else "waiting", style="cyan" if row.completion_tokens else "yellow"
        )
    if row.status == 499:
        return Text("left", style="dim")
    return Text(str(row.status), style="green" if row.status < 400 else "yellow" if row.status < 500 else "bold red")


def _foot(figures: Figures) -> Text:
    from rich.text import Text

    refused = f" · {figures.refused:,} refused" if figures.refused else ""
    counts = f" {figures.answered:,} answered · {figures.active:,} running{refused}"
    return Text(f"{counts} · {figures.tokens:,} tokens · up {_long(figures.up_s)}", style="dim")


def _summary(figures: Figures) -> str:
    return f"{figures.answered:,} requests answered, {figures.tokens:,} tokens written, in {_long(figures.up_s)}."


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def _speed(tokens_per_second: float) -> str:
    return f"{tokens_per_second:.1f}" if tokens_per_second else "·"


def _time(seconds: float) -> str:
    if seconds < 1.0:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100.0 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def _long(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
