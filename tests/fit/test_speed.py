"""Speeds follow the bytes that a token reads, corrected by what was measured."""

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from edgellm.catalog.metadata import LayerFacts, ModelFacts
from edgellm.fit.placement import Placement
from edgellm.fit.speed import ON_GPU, predict, work
from edgellm.machine.machine import Machine
from edgellm.machine.measurements import DecodeSpeed, Key
from tests.fit import examples

PLACED = Placement(context=8192)


def seen(
    facts: ModelFacts, machine: Machine, factor: float = 1.0, *, model: str = "seen", threads: int = 8, build: str = "b"
) -> tuple[Key, DecodeSpeed]:
    """A run of `facts` that went `factor` times as fast as estimated."""
    cost, speed = work(facts, PLACED), predict(facts, PLACED, machine)
    return Key(model=model, build=build, threads=threads, machine=machine.id), DecodeSpeed(
        bytes_per_token=cost.all,
        ms_per_token=1000 / speed.decode / factor,
        context=1024,
        prefill_tokens_per_s=factor * speed.prefill,
        active_parameters=cost.active,
        measured_at=0.0,
    )


def test_without_measurements_the_bandwidth_decides() -> None:
    facts, slow, fast = examples.model(), examples.machine(bandwidth=20e9), examples.machine(bandwidth=60e9)
    assert predict(facts, PLACED, fast).decode == pytest.approx(3 * predict(facts, PLACED, slow).decode)
    assert predict(facts, PLACED, fast).basis == "estimated"
    # 4.1 GB of layers and output in Q6_K, a little KV: 20 GB/s read that some five times a second.
    assert 3 < predict(facts, PLACED, slow).decode < 6


@given(st.floats(0.2, 5.0))
def test_a_run_of_one_model_corrects_what_is_said_of_another(factor: float) -> None:
    machine = examples.machine()
    known = [seen(examples.model(3e9), machine, factor)]
    before, after = (predict(examples.model(14e9), PLACED, machine, these) for these in ((), known))
    assert after.decode == pytest.approx(factor * before.decode)
    assert after.prefill == pytest.approx(factor * before.prefill)
    assert after.basis == "corrected"


def test_a_run_of_the_model_itself_counts_more_than_all_others() -> None:
    machine, facts = examples.machine(), examples.model()
    known = [seen(facts, machine, 0.5, model="own"), *(seen(facts, machine, 2, model=str(i)) for i in range(5))]
    found = predict(facts, PLACED, machine, known, model="own")
    assert found.basis == "measured"
    assert found.decode == pytest.approx(predict(facts, PLACED, machine).decode / 2)


def test_runs_elsewhere_or_with_a_gpu_say_nothing() -> None:
    machine, facts = examples.machine(), examples.model()
    other = examples.machine(processor="another")
    known = [seen(facts, other, 3), seen(facts, machine, 3, build="b" + ON_GPU)]
    assert predict(facts, PLACED, machine, known) == predict(facts, PLACED, machine)


def test_runs_with_as_many_threads_come_first() -> None:
    machine, facts = examples.machine(), examples.model()
    known = [seen(facts, machine, 0.5, threads=1), seen(facts, machine, 2.0)]
    assert predict(facts, PLACED, machine, known).decode == pytest.approx(2 * predict(facts, PLACED, machine).decode)


def test_only_the_experts_at_work_are_read() -> None:
    sparse, dense = examples.mixture(64, 4), examples.model(30e9)
    assert work(sparse, PLACED).cpu < 0.25 * work(dense, PLACED).cpu
    assert work(sparse, PLACED).active < 0.25 * 30e9


def test_a_window_limits_what_is_read_of_a_long_context() -> None:
    full, window = (
        examples.model(layers=(LayerFacts(key=1024, value=1024, window=size, weights=10**8),) * 32)
        for size in (0, 1024)
    )
    assert work(full, PLACED, 1024) == work(window, PLACED, 1024)
    assert work(full, PLACED, 8192).cpu > work(window, PLACED, 8192).cpu == work(window, PLACED, 1024).cpu


@given(st.integers(0, 33))
def test_the_gpu_takes_over_what_the_processor_no_longer_does(count: int) -> None:
    facts = examples.model()
    parts = work(facts, replace(PLACED, gpu_layers=count))
    assert parts.all == pytest.approx(work(facts, PLACED).cpu, rel=0.4)
    assert (parts.gpu > 0) == (count > 0)
    assert count < 33 or parts.cpu == 0


def test_more_on_the_gpu_is_faster() -> None:
    machine, facts = examples.machine(vram=24), examples.model()
    speeds = [predict(facts, replace(PLACED, gpu_layers=count), machine).decode for count in (0, 10, 20, 33)]
    assert speeds == sorted(speeds) and speeds[-1] > 3 * speeds[0]
