"""Layers over several devices: as many as fit, each device as full as the others, counted in the right place."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edgellm.config import ModelSettings
from edgellm.fit.memory import memory
from edgellm.fit.placement import Placement
from edgellm.fit.plan import Plan, plan
from edgellm.fit.spread import spread
from edgellm.fit.verdict import device_room, gpu_room
from edgellm.machine.machine import Gpu, Machine
from tests.fit import examples

GB = examples.GB


def server(name: str, free: float, total: float | None = None) -> Gpu:
    return Gpu(name=name, kind="rpc", total=int((total or free + 1) * GB), free=int(free * GB))


def machine(memory: float, *gpus: Gpu) -> Machine:
    return examples.machine(memory, gpus=gpus)


def planned(memory: float, *gpus: Gpu, **settings: object) -> Plan:
    return plan(examples.model(), machine(memory, *gpus), ModelSettings(**settings), offload=True)  # type: ignore[arg-type]


@given(
    costs=st.lists(st.integers(1, 100), min_size=1, max_size=40),
    rooms=st.lists(st.integers(0, 2000), min_size=1, max_size=5),
    each=st.integers(0, 200),
)
def test_every_layer_has_a_device_with_room_for_it(costs: list[int], rooms: list[int], each: int) -> None:
    shares, at = spread(costs, rooms, each), 0
    if not shares:
        return
    assert sum(shares) == len(costs) and len(shares) == len(rooms)
    for share, room in zip(shares, rooms, strict=True):
        assert not share or sum(costs[at : at + share]) + each <= room
        at += share


def test_devices_are_equally_full() -> None:
    assert spread([10] * 30, [400, 800], 0) == (10, 20)
    assert spread([10] * 30, [1000, 1000, 1000], 5) == (10, 10, 10)
    assert spread([10] * 30, [100, 199], 0) == ()


def test_what_one_computer_cannot_hold_two_more_can() -> None:
    alone = planned(3)
    shared = planned(3, server("a:1", 4), server("b:1", 4))
    assert (alone.verdict, shared.verdict) == ("no", "fits")
    assert shared.placement.gpu_layers == 33 and sum(shared.placement.shares) == 33
    assert all(share > 10 for share in shared.placement.shares)
    assert shared.memory.gpu == shared.memory.remote > 4 * GB


def test_what_does_not_fit_the_servers_stays_here() -> None:
    found = planned(8, server("a:1", 2))
    assert found.verdict == "fits" and 0 < found.placement.gpu_layers < 33
    here = 33 - found.placement.gpu_layers
    assert f"of 33 layers {found.placement.gpu_layers} are on a:1, {here} are on this computer" in found.reasons


def test_the_plan_decides_what_the_settings_leave_open() -> None:
    found = planned(8, server("a:1", 8), server("b:1", 8))
    changes = found.changes(ModelSettings(rpc="a:1,b:1"))
    assert changes["layer_split"] == ",".join(map(str, found.placement.shares)) and changes["gpu_layers"] == 33
    assert "layer_split" not in found.changes(ModelSettings(rpc="a:1,b:1", layer_split="1,3"))
    few = planned(16, server("a:1", 8), gpu_layers=5)
    assert few.placement.gpu_layers == 5 and few.placement.shares == (5,)


def test_a_server_that_tells_all_its_memory_as_free_is_not_believed() -> None:
    assert device_room(server("a:1", 8, 8)) == 6 * GB
    assert device_room(server("a:1", 8, 16)) == 8 * GB - (512 << 20)
    assert gpu_room(machine(8, server("a:1", 8, 8), server("b:1", 4, 4))) == 9 * GB


def test_servers_and_a_card_of_ones_own() -> None:
    card = Gpu(name="card", kind="cuda", total=6 * GB, free=3 * GB)
    found = planned(8, server("a:1", 4), card)
    assert found.placement.servers == 1 and all(found.placement.shares)
    assert 0 < found.memory.remote < found.memory.gpu
    assert "the GPU and the RPC servers have to spare" in " ".join(found.reasons)


def test_beside_a_unified_gpu_only_what_servers_hold_is_gone_from_memory() -> None:
    facts = examples.model()
    here = memory(facts, Placement(context=4096, gpu_layers=33), unified=True)
    shared = memory(facts, Placement(context=4096, gpu_layers=33, shares=(16, 17), servers=1), unified=True)
    gone = here.weights - shared.weights
    assert gone == sum(layer.weights for layer in facts.layers[:16])
    assert shared.remote > gone and shared.kv < here.kv


@pytest.mark.parametrize("servers", [0, 2])
def test_all_of_it_is_counted_once(servers: int) -> None:
    facts = examples.model()
    placed = Placement(context=4096, gpu_layers=20, shares=(8, 12) if servers else (), servers=servers)
    apart, plain = memory(facts, placed), memory(facts, Placement(context=4096))
    compute = plain.compute - placed.slots * facts.vocabulary * 4
    devices = 2 if servers else 1
    assert apart.gpu - devices * compute + apart.weights + apart.kv == plain.weights + plain.kv
    assert apart.remote == (apart.gpu if servers else 0)
