"""Memory by what takes it: exact where it can be, and moving the right way everywhere."""

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from edgellm.catalog.metadata import LayerFacts
from edgellm.fit.memory import MIB, kv_bytes, memory, repacked_bytes, state_bytes
from edgellm.fit.placement import Placement
from tests.fit import examples


def test_kv_is_counted_in_whole_cells_and_blocks() -> None:
    facts = examples.model()
    # 32 layers x (1024 + 1024) numbers x 8192 cells
    assert kv_bytes(facts, Placement(context=8192), facts.layers) == 32 * 2048 * 8192 * 2
    assert kv_bytes(facts, Placement(context=8192, kv_type="q8_0"), facts.layers) == 32 * 64 * 34 * 8192
    assert kv_bytes(facts, Placement(context=8000), facts.layers) == 32 * 2048 * 8192 * 2
    assert kv_bytes(facts, Placement(context=8193), facts.layers) == 32 * 2048 * 8448 * 2


def test_a_sliding_window_saves_memory_only_where_the_backend_lets_it() -> None:
    layers = (LayerFacts(key=256, value=256, window=512), LayerFacts(key=256, value=256))
    whole = examples.model(layers=layers)
    assert kv_bytes(whole, Placement(context=8192), layers) == 2 * 8192 * 512 * 2
    other = replace(whole, format="mlx")
    assert kv_bytes(other, Placement(context=8192), layers) == (8192 + 512 + 512) * 512 * 2


def test_folders_keep_kv_in_the_type_that_they_compute_in() -> None:
    wide = examples.model(format="mlx", tensor_types={"F32": 10**9})
    narrow = replace(wide, tensor_types={"U32": 10**9, "BF16": 10**8})
    placed = Placement(context=8192)
    assert kv_bytes(wide, placed, wide.layers) == 2 * kv_bytes(narrow, placed, narrow.layers) == 32 * 2048 * 8192 * 4
    apart = replace(placed, slots=3, shared=False)
    assert kv_bytes(narrow, apart, narrow.layers) == 3 * kv_bytes(narrow, placed, narrow.layers)


def test_onnx_packs_its_weights_anew_and_computes_a_row_for_every_token() -> None:
    facts = examples.model(format="onnx", tensor_types={"U8": 10**9, "F32": 10**8})
    use = memory(facts, Placement(context=8192, slots=1, parallel=1), ("AVX2",))
    assert use.repacked == 10**9
    assert use.compute >= 512 * facts.vocabulary * 4


def test_every_slot_has_its_own_recurrent_state() -> None:
    layers = (LayerFacts(state=1000), LayerFacts(key=64, value=64), LayerFacts(state=500))
    assert state_bytes(Placement(context=256, slots=10), layers) == 10 * 4 * 1500


def test_repacked_weights_are_counted_twice_but_needed_once() -> None:
    facts = examples.model(quantization="Q4_K_M", bits=4.5, tensor_types={"Q4_K": 3 * 10**9, "Q6_K": 9 * 10**8})
    small = replace(facts, input_bytes=0)
    plain = memory(small, Placement(context=8192))
    doubled = memory(small, Placement(context=8192), ("AVX2",))
    assert plain.repacked == 0 and doubled.repacked == 3 * 10**9
    assert doubled.total == plain.total + 3 * 10**9
    assert doubled.needed == plain.needed


def test_an_embedding_that_is_only_looked_up_is_not_repacked() -> None:
    elements = 128_000 * 4096
    table = elements * 9 // 16  # Q4_K
    facts = examples.model(input_bytes=table, tensor_types={"Q4_K": 2 * 10**9, "Q6_K": 10**9})
    assert repacked_bytes(facts, ("AVX2",)) == 2 * 10**9 - table
    assert repacked_bytes(replace(facts, tied=True), ("AVX2",)) == 2 * 10**9
    q6 = elements * 6.5625 / 8
    assert repacked_bytes(replace(facts, input_bytes=int(q6)), ("AVX2",)) == 2 * 10**9
    assert repacked_bytes(facts, ()) == 0


@given(st.integers(0, 33))
def test_layers_on_the_gpu_leave_the_computers_memory(count: int) -> None:
    facts = examples.model()
    before, after = (memory(facts, Placement(context=4096, gpu_layers=layers)) for layers in (0, count))
    moved = facts.output_bytes * (count > 0) + max(0, count - 1) * facts.layers[0].weights
    assert after.weights == before.weights - moved
    assert after.gpu >= moved
    assert after.kv == before.kv * (33 - max(count, 1)) // 32


def test_a_unified_gpu_takes_from_the_same_memory() -> None:
    facts = examples.model()
    parted = memory(facts, Placement(context=4096), ("NEON",))
    unified = memory(facts, Placement(context=4096, gpu_layers=33), ("NEON",), unified=True)
    assert unified.total == parted.total
    assert unified.gpu > facts.weight_bytes * 0.9


def test_experts_left_to_the_processor_are_not_on_the_gpu() -> None:
    facts = examples.mixture()
    whole = memory(facts, Placement(context=4096, gpu_layers=33))
    without = memory(facts, Placement(context=4096, gpu_layers=33, cpu_experts=True))
    experts = sum(layer.experts for layer in facts.layers)
    assert whole.gpu - without.gpu == experts == without.weights - whole.weights


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.integers(1, 256), st.sampled_from(["f16", "q8_0"]))
def test_more_context_never_takes_less(one: int, other: int, slots: int, kind: str) -> None:
    facts = examples.model()
    low, high = sorted((one, other))
    uses = [
        memory(facts, Placement(context=context, slots=slots, kv_type=kind), ("AVX2",))  # type: ignore[arg-type]
        for context in (low, high)
    ]
    assert uses[0].total <= uses[1].total
    assert all(use.needed <= use.total for use in uses)


@pytest.mark.parametrize("context", [2048, 8192, 32_768])
def test_all_of_it_adds_up(context: int) -> None:
    use = memory(examples.model(), Placement(context=context), ("AVX2",))
    assert use.total == use.weights + use.repacked + use.kv + use.state + use.compute + use.host
    assert 70 * MIB < use.host < 250 * MIB
