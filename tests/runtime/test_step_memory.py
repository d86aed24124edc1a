"""Step times outlive the process, by model, build, threads and machine; damage means nothing is known."""

from __future__ import annotations

from pathlib import Path

from edgellm.engine.speculative.acceptance import Record
from edgellm.machine.measurements import Key, Measurements
from edgellm.runtime.step_memory import StepMemory

KEY = Key(model="m", build="b", threads=2, machine="x")


def memory(folder: Path, key: Key = KEY) -> StepMemory:
    return StepMemory(Measurements(folder), lambda: key)


def test_what_was_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    assert memory(tmp_path).read() == {}
    memory(tmp_path).write({1: 40.0, 16: 300.5})
    assert memory(tmp_path).read() == {1: 40.0, 16: 300.5}


def test_another_number_of_threads_is_another_matter(tmp_path: Path) -> None:
    memory(tmp_path).write({1: 40.0})
    assert memory(tmp_path, Key(model="m", build="b", threads=4, machine="x")).read() == {}


def test_nothing_measured_overwrites_nothing(tmp_path: Path) -> None:
    memory(tmp_path).write({1: 40.0})
    memory(tmp_path).write({})
    assert memory(tmp_path).read() == {1: 40.0}


def test_damage_means_nothing_is_known(tmp_path: Path) -> None:
    memory(tmp_path).write({1: 40.0})
    for path in tmp_path.iterdir():
        path.write_bytes(b"{")
    assert memory(tmp_path).read() == {}


def test_values_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    memory(tmp_path).write({0: 3.0, 1: 40.0, 2: -1.0})
    assert memory(tmp_path).read() == {1: 40.0}


def test_what_came_true_is_kept_by_proposer_whatever_computes_the_model(tmp_path: Path) -> None:
    assert memory(tmp_path).learned("copies") is None
    memory(tmp_path).learn("copies", Record([3.0], [4.0]))
    memory(tmp_path).learn("draft d", Record([1.0], [9.0]))
    elsewhere = memory(tmp_path, Key(model="m", build="c", threads=4, machine="x"))
    assert elsewhere.learned("copies") == Record([3.0], [4.0])
    assert elsewhere.learned("draft d") == Record([1.0], [9.0])
    assert memory(tmp_path, Key(model="n", build="b", threads=2, machine="x")).learned("copies") is None
    assert len(list(tmp_path.iterdir())) == 2
