"""The live table fits its terminal, tells what matters first, and leaves out what only asks how the server is."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from edgellm.cli import live_table
from edgellm.cli.live_figures import Figures, ModelRow, RequestRow, Watch
from edgellm.events import Finished, Started, Text, Timings, Usage
from edgellm.server.auth import EVERYBODY
from edgellm.server.models import OneModel
from edgellm.server.record import Record
from edgellm.server.traffic import Traffic
from tests.doubles.echo_model import EchoModel

MODEL = ModelRow("a-model-with-quite-a-long-name-q4_k_m", "loaded", 414_400_000, 4, 6, 0.42, 31.5)
REQUEST = RequestRow("/v1/chat/completions", MODEL.name, 200, True, 36, 150, 75.0, 12.3)
FIGURES = Figures(
    url="http://127.0.0.1:11435",
    asks=False,
    open_to_all=False,
    stopping_in_s=None,
    models=(MODEL,),
    requests=(msgspec.structs.replace(REQUEST, ended=False, status=0, seconds=0.2), *([REQUEST] * 60)),
    answered=1234,
    refused=2,
    active=1,
    tokens=98_765,
    up_s=3720,
)


def drawn(figures: Figures, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(live_table.picture(figures, width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (72, 12)])
def test_it_fits(width: int, height: int) -> None:
    lines = drawn(FIGURES, width, height)
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    assert "http://127.0.0.1:11435" in lines[0]
    assert lines[-1].strip() == "1,234 answered · 1 running · 2 refused · 98,765 tokens · up 1 h 02 min"


def test_the_route_is_whole_and_the_model_gives_way() -> None:
    lines = drawn(FIGURES, 80, 24)
    row = next(line for line in lines if "running" in line)
    assert "/v1/chat/completions " in row and "a-model-with" in row and "…" in row


def test_what_people_should_know() -> None:
    def head(**changed: Any) -> str:
        return drawn(msgspec.structs.replace(FIGURES, **changed), 80, 24)[0]

    assert "this machine only" in head()
    assert "asks for keys" in head(asks=True)
    assert "open to everybody" in head(open_to_all=True)
    assert "stopping, at the latest in 8 s" in head(stopping_in_s=8.0)


def test_before_the_first_request() -> None:
    lines = "\n".join(drawn(msgspec.structs.replace(FIGURES, models=(), requests=()), 80, 24))
    assert "No model is loaded" in lines and "No request yet" in lines


def test_the_figures_of_a_server() -> None:
    traffic = Traffic()
    for route, status in (("/health", 503), ("/v1/completions", 200), ("other", 404)):
        traffic.begin(record := Record("id", "GET", "/made/up" if route == "other" else route))
        record.status, record.route, record.end = status, route, record.begin + 1.0
        if status == 200:
            record.model = "echo"
            record.add(Started(3, 0))
            record.add(Text("a"))
            record.add(Finished("stop", Usage(3, 2), Timings()))
        traffic.end(record)
    traffic.begin(Record("id", "POST", "/api/chat"))
    serving: Any = SimpleNamespace(
        url="u",
        host="127.0.0.1",
        models=OneModel(EchoModel()),
        traffic=traffic,
        access=EVERYBODY,
        server=SimpleNamespace(closing=False),
    )
    figures = asyncio.run(Watch(serving).look())
    assert [(each.route, each.status) for each in figures.requests] == [
        ("/api/chat", 0),
        ("/made/up", 404),
        ("/v1/completions", 200),
    ]
    assert (figures.answered, figures.refused, figures.active, figures.tokens) == (1, 1, 1, 2)
    assert [each.name for each in figures.models] == ["echo"]
