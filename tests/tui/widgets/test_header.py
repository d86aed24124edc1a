"""The top line tells of the battery, the server and memory, as far as there is room."""

from __future__ import annotations

import pytest

from edgellm.machine.power import Power


@pytest.mark.parametrize(
    ("power", "shown"),
    [
        (None, ""),
        (Power(on_battery=False, percent=100), ""),
        (Power(on_battery=False, percent=60), "▴60%"),
        (Power(on_battery=True, percent=100), "▾100%"),
        (Power(on_battery=True, percent=12.4), "▾12%"),
        (Power(on_battery=True), ""),
    ],
)
async def test_a_battery_is_shown_unless_it_is_full(start, monkeypatch, power: Power | None, shown: str) -> None:
    monkeypatch.setattr("edgellm.machine.power.power", lambda: power)
    async with start() as running:
        await running.ready()
        header = running.app.chat_screen.header
        await running.until(lambda: header.memory is not None)
        assert ("%" in str(header.render())) is bool(shown) and shown in str(header.render())


@pytest.mark.parametrize("width", [60, 80, 120, 200])
async def test_everything_at_once_stays_on_the_line(start, width: int) -> None:
    async with start(size=(width, 24)) as running:
        await running.ready()
        header = running.app.chat_screen.header
        header.model, header.detail = "a-rather-long-name-of-a-model-7b-instruct", "Loading something"
        header.offline, header.serving = True, "127.0.0.1:8080"
        header.power = Power(on_battery=True, percent=50)
        await running.pilot.pause()
        assert header.render().cell_length <= width - 2
        assert "◆" in str(header.render())
