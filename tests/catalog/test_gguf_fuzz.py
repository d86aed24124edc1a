"""Damaged headers by the thousand: facts or our own error, quickly, and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.catalog import metadata
from edgellm.catalog.gguf import read_header
from edgellm.catalog.gguf_facts import MARKS, facts
from edgellm.errors import LoadError
from tests import models, tiny_model
from tests.backends.llamacpp.corruption import damaged

MOST_MEMORY = 64 * 2**20
MOST_SECONDS = 20  # for one file; a hang, not slowness, is what this finds


class Memory:
    """Bytes as a source."""

    name = "made"
    first_block, largest_block = 2**10, 2**16

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, size: int) -> bytes:
        return self._data[start : start + size]


def outcome(data: bytes) -> bool:
    """Whether the header of `data` was read; anything but our own error is raised."""
    try:
        facts(read_header(Memory(data), MARKS))
    except LoadError as error:
        assert str(error).endswith((".", "!")) and len(str(error)) < 1000
        return False
    return True


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_model.build(tmp_path_factory.mktemp("tiny")).read_bytes()


def test_the_sound_file_is_read(tiny: bytes) -> None:
    assert outcome(tiny)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_at_any_place(tiny: bytes, data: st.DataObject) -> None:
    end = tiny.rfind(b".weight") + 64
    copy = bytearray(tiny)
    for _ in range(data.draw(st.integers(1, 4))):
        at, piece = data.draw(st.integers(0, end)), data.draw(st.binary(max_size=16))
        copy[at : at + len(piece)] = piece
    outcome(bytes(copy[: data.draw(st.integers(0, len(copy)))] if data.draw(st.booleans()) else copy))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400))
def test_any_settings_at_all(data: bytes) -> None:
    outcome(b"GGUF\x03\0\0\0" + data)


def test_two_hundred_damaged_files(tiny: bytes) -> None:
    results = [outcome(damaged(tiny, seed)) for seed in range(200)]
    assert 0 < sum(results) < 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_damaged_files(tiny: bytes) -> None:
    slowest = largest = 0.0
    for seed in range(10_000):
        copy = damaged(tiny, seed)
        tracemalloc.start()
        begun = time.monotonic()
        outcome(copy)
        slowest = max(slowest, time.monotonic() - begun)
        largest = max(largest, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert slowest < MOST_SECONDS and largest < MOST_MEMORY
    print(f"slowest {slowest:.3f} s, largest {largest / 2**20:.1f} MiB")


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_header_damaged(tmp_path: Path) -> None:
    with models.path("smollm2").open("rb") as file:
        data = file.read(3_000_000)
    path = tmp_path / "m.gguf"
    for seed in range(300):
        path.write_bytes(damaged(data, seed))
        try:
            metadata.facts(path)
        except LoadError:
            continue
