"""Plans: what is chosen, what is given up first, and the reasons in words."""

import pytest
from hypothesis import given, strategies as st

from edgellm.catalog.metadata import LayerFacts
from edgellm.config import ModelSettings
from edgellm.fit.memory import memory
from edgellm.fit.plan import Planner, plan
from edgellm.fit.verdict import verdict
from tests.fit import examples

AUTO = ModelSettings()


def test_what_has_room_is_taken_as_it_is() -> None:
    found = plan(examples.model(), examples.machine(32), AUTO)
    assert (found.verdict, found.context, found.placement.gpu_layers) == ("fits", 8192, 0)
    assert found.longest == 131_072
    assert "up to 131,072 tokens would fit" in " ".join(found.reasons)


def test_context_is_cut_before_giving_up() -> None:
    found = plan(examples.model(), examples.machine(5.4), AUTO)
    assert found.verdict == "tight" and found.context in (4096, 2048)
    assert "cut" in " ".join(found.reasons)
    assert found.longest >= found.context


def test_a_context_that_was_asked_for_is_kept() -> None:
    found = plan(examples.model(), examples.machine(5.4), ModelSettings(context=32_768))
    assert (found.verdict, found.context) == ("no", 32_768)
    assert 0 < found.longest < 32_768


def test_states_are_given_up_before_context() -> None:
    layers = (LayerFacts(state=2_000_000, weights=10**8), LayerFacts(key=1024, value=1024, weights=10**8)) * 16
    facts = examples.model(layers=layers)
    assert plan(facts, examples.machine(32), AUTO).placement.slots == 64
    found = plan(facts, examples.machine(8), AUTO)
    assert found.verdict != "no" and found.context == 8192
    assert 4 <= found.placement.slots < 64 and found.placement.parallel <= found.placement.slots
    assert "state of its own" in " ".join(found.reasons)


def test_a_gpu_takes_all_or_as_many_layers_as_it_can() -> None:
    facts = examples.model()
    whole = plan(facts, examples.machine(32, vram=24), AUTO, offload=True)
    assert whole.placement.gpu_layers == 33 and "all of it is on the GPU" in whole.reasons
    part = plan(facts, examples.machine(32, vram=4), AUTO, offload=True)
    assert 1 < part.placement.gpu_layers < 33
    assert plan(facts, examples.machine(32, vram=0.6), AUTO, offload=True).placement.gpu_layers == 0
    assert plan(facts, examples.machine(32, vram=24), AUTO, offload=False).placement.gpu_layers == 0
    five = plan(facts, examples.machine(32, vram=24), ModelSettings(gpu_layers=5), offload=True)
    assert five.placement.gpu_layers == 5


def test_experts_stay_with_the_processor_where_a_mixture_does_not_fit_the_gpu() -> None:
    found = plan(examples.mixture(), examples.machine(64, vram=8), AUTO, offload=True)
    assert found.placement.cpu_experts and found.placement.gpu_layers == 33
    assert "experts stay" in " ".join(found.reasons)
    whole = plan(examples.mixture(), examples.machine(64, vram=48), AUTO, offload=True)
    assert not whole.placement.cpu_experts


@given(st.floats(0.3, 40), st.floats(0, 24), st.sampled_from([0, 2048, 32_768]))
def test_what_a_plan_says_is_so(memory_gb: float, vram: float, context: int) -> None:
    machine, facts = examples.machine(memory_gb, vram=vram), examples.model()
    planner = Planner(machine, ModelSettings(context=context), offload=True)
    found = planner.plan(facts)
    assert found.memory == memory(facts, found.placement, machine.simd)
    assert found.verdict == verdict(found.memory, machine)
    assert (found.longest >= found.context) == (found.verdict != "no")
    assert found.speed.decode > 0 and all(found.reasons)
    assert not context or found.context == context


def test_changes_are_what_the_settings_left_open() -> None:
    found = plan(examples.model(), examples.machine(32), AUTO)
    assert found.changes(AUTO) == {"context": 8192}
    assert found.changes(ModelSettings(context=8192)) == {}
    whole = plan(examples.model(), examples.machine(32, vram=24), AUTO, offload=True)
    assert whole.changes(AUTO) == {"context": 8192}
    part = plan(examples.model(), examples.machine(32, vram=4), AUTO, offload=True)
    assert part.changes(AUTO) == {"context": 8192, "gpu_layers": part.placement.gpu_layers}


@pytest.mark.parametrize(("free", "expected"), [(40, "fits"), (5.7, "tight"), (3, "no")])
def test_verdicts(free: float, expected: str) -> None:
    assert plan(examples.model(), examples.machine(free), ModelSettings(context=4096)).verdict == expected
