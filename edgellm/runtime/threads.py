"""How many threads a model computes with: as the user set, or as this machine and what feeds it suggest."""

from __future__ import annotations

from edgellm.config import Settings
from edgellm.machine.machine import Machine


def threads(settings: Settings, machine: Machine) -> int:
    """At least 1. On battery the default halves: writing waits for memory, so it slows down by much less than half."""
    if settings.threads:
        return settings.threads
    return (machine.threads + 1) // 2 if saves_power(settings, machine) else machine.threads


def saves_power(settings: Settings, machine: Machine) -> bool:
    """Whether the machine runs on its battery and the user has nothing against saving it."""
    return settings.on_battery == "save" and machine.power is not None and machine.power.on_battery
