"""What feeds this computer, and whether heat holds its processor back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from edgellm.machine import files
from edgellm.machine.command import Command

_ROOT = Path("/")
_PRESSURE_KEY = "com.apple.system.thermalpressurelevel"
_PRESSURE = ("", "moderate", "heavy", "trapping", "sleeping")
_PROCESSOR_COOLING = ("processor", "cpufreq", "cpu-", "thermal-cpu")


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """The battery of a computer that has one; `percent` is its charge, None where it is not told."""

    on_battery: bool
    percent: float | None = None


def power() -> Power | None:
    """None where there is no battery. A battery of which nobody knows whether it is charging counts as mains."""
    ask = getattr(psutil, "sensors_battery", None)
    battery = ask() if ask else None
    if battery is None:
        return None
    percent = battery.percent
    return Power(on_battery=battery.power_plugged is False, percent=None if percent is None else float(percent))


def linux_thermal(root: Path = _ROOT) -> str | None:
    """In words, what holds the processor back: a cooling device at work, or a zone past its passive trip point."""
    return next(_cooling(root), None) or next(_hot_zones(root), None)


def mac_thermal_commands() -> tuple[Command, Command]:
    """Two programs, under way, for `mac_thermal`: Apple's chips tell the first, Intel's the second."""
    return Command("/usr/bin/notifyutil", "-g", _PRESSURE_KEY), Command("/usr/bin/pmset", "-g", "therm")


def mac_thermal(pressure: str | None, limits: str | None) -> str | None:
    """From what `notifyutil -g` and `pmset -g therm` print."""
    level = files.whole((pressure or "").rpartition(" ")[2])
    if level:
        return f"{_PRESSURE[min(level, len(_PRESSURE) - 1)]} thermal pressure"
    for line in (limits or "").splitlines():
        key, separator, value = line.partition("=")
        speed = files.whole(value)
        if separator and key.strip() == "CPU_Speed_Limit" and speed is not None and speed < 100:
            return f"held to {speed}% of its speed"
    return None


def _cooling(root: Path) -> Iterator[str]:
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = files.text(device / "type").lower()
        step, last = files.whole(device / "cur_state"), files.whole(device / "max_state")
        if kind.startswith(_PROCESSOR_COOLING) and step:
            yield f"held back by heat, step {step} of {last or step}"


def _hot_zones(root: Path) -> Iterator[str]:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        now = files.whole(zone / "temp")
        for trip in sorted(zone.glob("trip_point_*_type")):
            limit = files.whole(zone / trip.name.replace("_type", "_temp"))
            if files.text(trip) in ("passive", "hot") and now and limit and now >= limit:
                yield f"{files.text(zone / 'type') or zone.name} at {now // 1000} °C, limit {limit // 1000} °C"
