"""Which quantization is taken, on fast and slow machines, with much and little memory."""

import pytest

from edgellm.config import ModelSettings
from edgellm.fit.choice import choose
from edgellm.fit.plan import Planner
from edgellm.fit.variants import guessed
from tests.fit import examples

NAMES = ("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")


def taken(memory: float, parameters: float = 8e9, **machine: object) -> str | None:
    planner = Planner(examples.machine(memory, **machine), ModelSettings())
    plans = [planner.plan(guessed("m", int(parameters), 32_768, name)) for name in NAMES]
    found = choose(plans, small=parameters < 1e9)
    return found.quantization if found is not None else None


@pytest.mark.parametrize(
    ("memory", "machine", "expected"),
    [
        (64, {"bandwidth": 400e9, "physical_cores": 32, "performance_cores": 32}, "Q6_K"),
        (64, {"bandwidth": 20e9}, "Q4_K_M"),
        (7, {"bandwidth": 20e9}, "Q3_K_M"),
        (2, {}, None),
    ],
)
def test_of_eight_billion_parameters(memory: float, machine: dict[str, object], expected: str | None) -> None:
    assert taken(memory, **machine) == expected


def test_small_models_are_taken_finer() -> None:
    assert taken(64, 0.5e9) == "Q8_0"
