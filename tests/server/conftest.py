"""A fresh `EchoModel` behind a live server for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server


@pytest.fixture
def model() -> EchoModel:
    return EchoModel()


@pytest.fixture
def server(model: EchoModel) -> Iterator[LiveServer]:
    with live_server(model, aliases=("parrot",)) as live:
        yield live
