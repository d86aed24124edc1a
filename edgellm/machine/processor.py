"""The name of the processor and the SIMD instructions it has that matter for language models."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from edgellm.machine import files

_ROOT = Path("/")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}

# Linux's words (`flags` and `Features` of /proc/cpuinfo), then ours; the order is the order of display.
_LINUX = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_tile": "AMX",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "asimd": "NEON",
    "neon": "NEON",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "SVE",
    "sve2": "SVE2",
    "sme": "SME",
}
_MAC = {
    "AVX1.0": "AVX",
    "AVX2": "AVX2",
    "FMA": "FMA",
    "F16C": "F16C",
    "AVX512F": "AVX-512",
    "AVX512VNNI": "AVX-512 VNNI",
    "FEAT_DotProd": "dotprod",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "SME",
    "FEAT_SME2": "SME2",
}
# PF_* of winnt.h
_WINDOWS = {
    39: "AVX",
    40: "AVX2",
    41: "AVX-512",
    19: "NEON",
    43: "dotprod",
    66: "i8mm",
    68: "bf16",
    46: "SVE",
    47: "SVE2",
    70: "SME",
}


def arch() -> str:
    """`x86_64`, `arm64` or what the platform says in lower case."""
    said = platform.machine().lower()
    return _ARCHITECTURES.get(said, said)


def name(root: Path = _ROOT, sysctl: Mapping[str, str] = _NOTHING) -> str:
    """As its maker calls it, or the board's model where Arm's Linux tells no more; the architecture at worst."""
    match platform.system():
        case "Linux":
            known = _linux_name(root)
        case "Darwin":
            known = sysctl.get("machdep.cpu.brand_string", "")
        case "Windows":
            known = _windows_name()
        case _:
            known = ""
    return " ".join((known or platform.processor() or arch()).split())


def simd(root: Path = _ROOT, sysctl: Mapping[str, str] = _NOTHING) -> tuple[str, ...]:
    """The instruction sets, in a fixed order, as people write them; empty where nothing tells."""
    match platform.system():
        case "Linux":
            return linux_simd(files.text(root / "proc/cpuinfo"))
        case "Darwin":
            return mac_simd(sysctl, arch())
        case "Windows":
            return _windows_simd()
        case _:
            return ()


def linux_simd(cpuinfo: str) -> tuple[str, ...]:
    """What every core has: on Arm the big and the little ones may differ."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    cores = [frozenset(flags.split()) for key, _, flags in lines if key.strip() in ("flags", "Features")]
    return _named(_LINUX, frozenset.intersection(*cores)) if cores else ()


def mac_simd(sysctl: Mapping[str, str], arch: str) -> tuple[str, ...]:
    words = {key.rpartition(".")[2] for key, value in sysctl.items() if ".optional." in key and value == "1"}
    for key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
        words |= set(sysctl.get(key, "").split())
    return ("NEON",) * (arch == "arm64") + _named(_MAC, words)


def _named(names: Mapping[str, str], found: Iterable[str]) -> tuple[str, ...]:
    here = set(found)
    return tuple(dict.fromkeys(name for word, name in names.items() if word in here))


def _linux_name(root: Path) -> str:
    lines = (line.partition(":") for line in files.text(root / "proc/cpuinfo").splitlines())
    known = {key.strip(): value.strip() for key, _, value in lines}
    board = files.text(root / "proc/device-tree/model")
    return known.get("model name") or known.get("Model") or known.get("Hardware") or board


def _windows_name() -> str:
    if sys.platform == "win32":
        import winreg

        with (
            suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key,
        ):
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    return ""


def _windows_simd() -> tuple[str, ...]:
    if sys.platform == "win32":
        import ctypes

        present = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent
        return tuple(name for number, name in _WINDOWS.items() if present(number))
    return ()
