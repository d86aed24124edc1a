"""Names and instruction sets from what the systems print."""

from pathlib import Path

import pytest

from edgellm.machine import processor
from tests.machine.trees import plant

LAPTOP = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: 12th Gen Intel(R) Core(TM) i7-1260P
flags\t\t: fpu vme sse4_2 avx f16c fma avx2 avx_vnni
"""
SERVER = "flags\t: avx avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8\n"
BOARD = """processor\t: 0
Features\t: fp asimd evtstrm aes asimddp i8mm bf16
processor\t: 1
Features\t: fp asimd evtstrm aes asimddp
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""


def test_x86_flags_in_a_fixed_order() -> None:
    assert processor.linux_simd(LAPTOP) == ("AVX", "AVX2", "FMA", "F16C", "AVX-VNNI")
    assert processor.linux_simd(SERVER)[-3:] == ("AMX", "AMX INT8", "AMX BF16")


def test_arm_counts_what_all_cores_have() -> None:
    assert processor.linux_simd(BOARD) == ("NEON", "dotprod")


@pytest.mark.parametrize("damaged", ["", "flags", "flags:", "\0\0: x\n"])
def test_damaged_cpuinfo_tells_nothing(damaged: str) -> None:
    assert processor.linux_simd(damaged) == ()


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"proc/cpuinfo": LAPTOP}, "12th Gen Intel(R) Core(TM) i7-1260P"),
        ({"proc/cpuinfo": BOARD}, "Raspberry Pi 5 Model B Rev 1.0"),
        ({"proc/device-tree/model": "Radxa ROCK 5B\0"}, "Radxa ROCK 5B"),
    ],
)
def test_names_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], name: str) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert processor.name(plant(tmp_path, files)) == name


def test_a_processor_without_a_name_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert processor.name(tmp_path)


def test_apple_silicon() -> None:
    told = {"hw.optional.arm.FEAT_DotProd": "1", "hw.optional.arm.FEAT_I8MM": "1", "hw.optional.arm.FEAT_SME": "0"}
    assert processor.mac_simd(told, "arm64") == ("NEON", "dotprod", "i8mm")


def test_intel_macs() -> None:
    told = {
        "machdep.cpu.features": "FPU SSE4.2 FMA F16C AVX1.0",
        "machdep.cpu.leaf7_features": "RDWRFSGS AVX2 AVX512F",
    }
    assert processor.mac_simd(told, "x86_64") == ("AVX", "AVX2", "FMA", "F16C", "AVX-512")


@pytest.mark.parametrize(("said", "arch"), [("AMD64", "x86_64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_architectures_are_spelled_alike(monkeypatch: pytest.MonkeyPatch, said: str, arch: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: said)
    assert processor.arch() == arch
