"""What a llama.cpp must be built with, so that it runs on other machines of this platform, and which those are."""

from __future__ import annotations

import hashlib
import platform

import msgspec

X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")

# OFF, or the compiler uses whatever this machine's processor has, and an older one dies of an illegal instruction.
# OpenMP is a library that the other machine need not have; llama.cpp has threads of its own.
_PORTABLE = {"GGML_NATIVE": "OFF", "GGML_OPENMP": "OFF"}
# The package installs the libraries that it knows by name beside its Python files. A build in variants has others too,
# which go where CMake's own rules say: into the same place, then.
_PLACES = {
    "CMAKE_INSTALL_BINDIR": "llama_cpp/lib",
    "CMAKE_INSTALL_LIBDIR": "llama_cpp/lib",
    "CMAKE_INSTALL_INCLUDEDIR": "llama_cpp/include",
}
_VARIANTS = {"GGML_BACKEND_DL": "ON", "GGML_CPU_ALL_VARIANTS": "ON"}


class PortableBuild(msgspec.Struct, frozen=True):
    """CMake definitions, and in words what processor the result asks for."""

    definitions: tuple[tuple[str, str], ...]
    baseline: str
    variants: bool

    def key(self, version: str) -> str:
        """A short name of the wheel that comes out: another version, flag, processor or C library is another wheel."""
        asked = (version, self.definitions, platform.system(), platform.machine(), platform.libc_ver())
        return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]


def here(system: str = "", machine: str = "") -> PortableBuild:
    """The build for machines like this one: all of the same system and architecture."""
    system, machine = system or platform.system(), (machine or platform.machine()).lower()
    if machine in X86 and system != "Darwin":
        return PortableBuild(
            _definitions(_PLACES, _VARIANTS, _rpath(system)),
            "any x86-64 processor; code for AVX, AVX2, AVX-512, VNNI or AMX is chosen when it is loaded",
            True,
        )
    if system == "Darwin":
        baseline = "any Apple Silicon, with Metal" if machine in ARM else "any Intel Mac, without AVX"
        return PortableBuild(_definitions(), baseline, False)
    if machine in ARM:
        return PortableBuild(
            _definitions({"GGML_CPU_ARM_ARCH": "armv8.2-a+dotprod"}), "ARMv8.2 with dot products, or later", False
        )
    return PortableBuild(_definitions(), f"the compiler's own baseline for {machine}", False)


def _rpath(system: str) -> dict[str, str]:
    return {"CMAKE_INSTALL_RPATH": "$ORIGIN"} if system == "Linux" else {}


def _definitions(*more: dict[str, str]) -> tuple[tuple[str, str], ...]:
    merged = dict(_PORTABLE)
    for some in more:
        merged |= some
    return tuple(merged.items())
