"""Batteries, and processors held back by heat."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from edgellm.machine import power
from edgellm.machine.power import Power
from tests.machine.trees import plant

PMSET_COOL = "Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n"
PMSET_HOT = (
    "Note: x\nCPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Available_CPUs \t= 8\n\tCPU_Speed_Limit \t= 72\n"
)


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        (None, None),
        (SimpleNamespace(percent=42.5, power_plugged=False), Power(on_battery=True, percent=42.5)),
        (SimpleNamespace(percent=100, power_plugged=True), Power(on_battery=False, percent=100)),
        (SimpleNamespace(percent=80, power_plugged=None), Power(on_battery=False, percent=80)),
    ],
)
def test_batteries(monkeypatch: pytest.MonkeyPatch, battery: object, expected: Power | None) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert power.power() == expected


def test_a_system_without_battery_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    assert power.power() is None


def test_a_cooling_device_at_work(tmp_path: Path) -> None:
    thermal = "sys/class/thermal"
    files = {
        f"{thermal}/cooling_device0/type": "Fan\n",
        f"{thermal}/cooling_device0/cur_state": "3\n",
        f"{thermal}/cooling_device1/type": "Processor\n",
        f"{thermal}/cooling_device1/cur_state": "0\n",
    }
    assert power.linux_thermal(plant(tmp_path, files)) is None
    plant(tmp_path, {f"{thermal}/cooling_device1/cur_state": "2\n", f"{thermal}/cooling_device1/max_state": "10\n"})
    assert power.linux_thermal(tmp_path) == "held back by heat, step 2 of 10"


@pytest.mark.parametrize(
    ("temperature", "expected"), [("94000", None), ("95500", "x86_pkg_temp at 95 °C, limit 95 °C"), ("hot", None)]
)
def test_a_zone_past_its_trip_point(tmp_path: Path, temperature: str, expected: str | None) -> None:
    files = {
        "type": "x86_pkg_temp",
        "temp": temperature,
        "trip_point_0_type": "critical",
        "trip_point_0_temp": "50000",
        "trip_point_1_type": "passive",
        "trip_point_1_temp": "95000",
    }
    plant(tmp_path / "sys/class/thermal/thermal_zone0", files)
    assert power.linux_thermal(tmp_path) == expected


@pytest.mark.parametrize(
    ("pressure", "limits", "expected"),
    [
        ("com.apple.system.thermalpressurelevel 0\n", PMSET_COOL, None),
        ("com.apple.system.thermalpressurelevel 2\n", PMSET_COOL, "heavy thermal pressure"),
        ("com.apple.system.thermalpressurelevel 9\n", None, "sleeping thermal pressure"),
        (None, PMSET_HOT, "held to 72% of its speed"),
        ("", "CPU_Speed_Limit = \n", None),
        (None, None, None),
    ],
)
def test_macs(pressure: str | None, limits: str | None, expected: str | None) -> None:
    assert power.mac_thermal(pressure, limits) == expected
