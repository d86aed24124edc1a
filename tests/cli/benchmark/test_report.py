"""The figures as text: all of them are there, and nothing is wider than a terminal."""

from __future__ import annotations

import pytest

from edgellm.cli.benchmark.figures import Decode, Kind, Prefill, Report, Rival
from edgellm.cli.benchmark.report import figure, text

EMPTY = Report(edgellm="1.0", model="m", quantization="", backend="", processor="a processor", threads=1)


def full(scale: float) -> Report:
    return Report(
        edgellm="1.0",
        model="qwen2.5-coder-32b",
        quantization="Q4_K_M",
        backend="llama.cpp",
        processor="Processor of a Long Name @ 3.4 GHz",
        threads=128,
        bandwidth=scale * 1e9,
        prefill=(Prefill(128, scale), Prefill(2048, scale * 2)),
        decode=(Decode(160, scale), Decode(2080, scale, 10**9, scale * 1.5)),
        step_ms={64: 90.0 * scale, 1: 10.0 * scale, 2: 15.0 * scale},
        draft_ms=4.5,
        kinds=(
            Kind(kind="edit", runs=2, plain_per_s=scale, tokens_per_s=2 * scale, speedup=2.0, first_ms=1000 * scale),
            Kind(
                kind="explain",
                runs=2,
                plain_per_s=scale,
                tokens_per_s=scale,
                speedup=1.0,
                first_ms=1.0,
                drafted=12345,
                accepted=12000,
                acceptance=0.97,
                lost=0.009,
            ),
        ),
        url="http://localhost:8080/v1",
        rival_model="other",
        rivals=(Rival("edit", 2, 1.25 * scale, scale, 10 * scale, 1.25),),
        notes=("Guessing ahead is on.",),
    )


@pytest.mark.parametrize("scale", [0.01, 23.4, 98765.4])
@pytest.mark.parametrize("blocks", [True, False])
def test_it_fits_in_80_columns(scale: float, blocks: bool) -> None:
    shown = text(full(scale), blocks=blocks)
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert blocks or shown.isascii()


def test_everything_is_told() -> None:
    shown = text(full(20.0), blocks=True)
    for piece in ("qwen2.5-coder-32b, Q4_K_M, llama.cpp", "128 threads", "20.0 GB/s", "67% of 30.0", "2.00x", "97%"):
        assert piece in shown
    for piece in ("0.9%", "4.50 ms", "1.25x", "Against other at http://localhost:8080/v1", "Guessing ahead is on."):
        assert piece in shown
    rows = [line.split()[0] for line in shown.split("rows in a step")[1].splitlines()[1:4]]
    assert rows == ["1", "2", "64"]


def test_parts_that_were_not_measured_are_left_out() -> None:
    assert text(EMPTY, blocks=True) == "m (edgellm 1.0)\na processor, 1 thread"


def test_figures_keep_three_digits() -> None:
    shown = [figure(value) for value in (0, 0.184, 9.994, 9.996, 23.44, 99.96, 234.4, 2340.2)]
    assert shown == ["0.00", "0.18", "9.99", "10.0", "23.4", "100", "234", "2,340"]
