"""Measurements come back as they were written, and damage to a file is the same as knowing nothing."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.machine.measurements import DecodeSpeed, Key, Measurements, StepCosts

KEY = Key("4096-abc", "llama.cpp 1", 2, "0123456789ab")
COSTS = StepCosts(milliseconds={1: 10.5, 8: 20.0}, context=512, measured_at=1.0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = Measurements(tmp_path / "deep" / "folder")
    assert kept.read("step_costs", KEY, StepCosts) is None
    kept.write("step_costs", KEY, COSTS)
    assert Measurements(tmp_path / "deep" / "folder").read("step_costs", KEY, StepCosts) == COSTS


def test_the_last_writing_counts_and_leaves_one_file(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    kept.write("step_costs", KEY, COSTS)
    later = msgspec.structs.replace(COSTS, measured_at=2.0)
    kept.write("step_costs", KEY, later)
    assert kept.read("step_costs", KEY, StepCosts) == later
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("field", Key.__struct_fields__)
def test_every_part_of_a_key_tells_measurements_apart(tmp_path: Path, field: str) -> None:
    kept = Measurements(tmp_path)
    kept.write("step_costs", KEY, COSTS)
    other = msgspec.structs.replace(KEY, **{field: 3 if field == "threads" else "other"})
    assert kept.read("step_costs", other, StepCosts) is None


def test_all_gives_the_keys_of_one_kind(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    others = [msgspec.structs.replace(KEY, threads=count) for count in (1, 2, 3)]
    for key in others:
        kept.write("step_costs", key, COSTS)
    kept.write("decode", KEY, DecodeSpeed(bytes_per_token=1, ms_per_token=2, context=3, measured_at=4))
    assert sorted(kept.all("step_costs", StepCosts), key=lambda each: each[0].threads) == [(k, COSTS) for k in others]
    assert len(kept.all("decode", DecodeSpeed)) == 1
    assert Measurements(tmp_path / "nowhere").all("decode", DecodeSpeed) == []


def test_a_kind_that_begins_like_another_is_not_mixed_up(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    kept.write("decode_draft", KEY, COSTS)
    assert kept.all("decode", StepCosts) == []


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 400), junk=st.binary(max_size=6))
def test_damage_means_nothing_is_known_or_a_sound_value(
    tmp_path_factory: pytest.TempPathFactory, position: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    kept = Measurements(folder)
    kept.write("step_costs", KEY, COSTS)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:position] + junk)
    assert kept.read("step_costs", KEY, StepCosts) in (None, COSTS)
    assert len(kept.all("step_costs", StepCosts)) <= 1


def test_a_value_of_another_shape_is_not_known(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    kept.write("step_costs", KEY, COSTS)
    assert kept.read("step_costs", KEY, DecodeSpeed) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Measurements(tmp_path / "file")
    kept.write("step_costs", KEY, COSTS)
    assert kept.read("step_costs", KEY, StepCosts) is None
    assert kept.all("step_costs", StepCosts) == []
