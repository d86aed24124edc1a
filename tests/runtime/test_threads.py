"""Threads as set, as the machine suggests, and half of that on battery unless the user wants them all."""

import msgspec
import pytest

from edgellm.config import Settings
from edgellm.machine.machine import Power
from edgellm.runtime.threads import threads
from tests.machine.test_machine import PLAIN

BATTERY = Power(on_battery=True, percent=50)


@pytest.mark.parametrize(
    ("power", "settings", "expected"),
    [
        (None, Settings(), 8),
        (Power(on_battery=False, percent=50), Settings(), 8),
        (BATTERY, Settings(), 4),
        (BATTERY, Settings(on_battery="full"), 8),
        (BATTERY, Settings(threads=7), 7),
        (None, Settings(threads=3), 3),
    ],
)
def test_threads(power: Power | None, settings: Settings, expected: int) -> None:
    assert threads(settings, msgspec.structs.replace(PLAIN, power=power)) == expected


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 2)])
def test_there_is_always_one(cores: int, expected: int) -> None:
    machine = msgspec.structs.replace(PLAIN, physical_cores=cores, performance_cores=cores, power=BATTERY)
    assert threads(Settings(), machine) == expected
