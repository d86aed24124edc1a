"""What a build of llama.cpp tells of itself."""

from types import SimpleNamespace

import pytest

from edgellm.backends.llamacpp import build, library

HERE = "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 0 | FMA = 1 | LLAMAFILE = 1 | REPACK = 1 | "
CUDA = "CUDA : ARCHS = 890 | USE_GRAPHS = 1 | PEER_MAX_BATCH_SIZE = 128 | CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 1 | "
ARM = "CPU : NEON = 1 | ARM_FMA = 1 | DOTPROD = 1 | SVE_CNT = 32 | "


@pytest.mark.parametrize(
    ("told", "simd"),
    [
        (HERE, ("AVX", "AVX2", "FMA")),
        (CUDA, ("AVX2", "AVX512")),
        (ARM, ("NEON", "ARM_FMA", "DOTPROD", "SVE_CNT")),
        ("", ()),
        ("CPU : ", ()),
    ],
)
def test_the_processors_part_of_what_it_prints(told: str, simd: tuple[str, ...]) -> None:
    assert build.simd(told) == simd


def test_the_build_of_this_environment() -> None:
    found = build.build()
    assert found.version
    assert isinstance(found.offload, bool)


class Function(SimpleNamespace):
    """A function of a C library: takes `argtypes` and `restype`, and is called."""

    def __call__(self, *arguments: object) -> object:
        return self.answer(*arguments)


def test_a_build_that_can_use_a_gpu_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds, names = [1, 0, 2], [b"NVIDIA GeForce RTX 4090", b"AMD Ryzen 9", b"Radeon 780M"]
    devices = SimpleNamespace(
        ggml_backend_dev_count=Function(answer=lambda: 3),
        ggml_backend_dev_get=Function(answer=lambda index: index),
        ggml_backend_dev_type=Function(answer=lambda device: kinds[device]),
        ggml_backend_dev_description=Function(answer=lambda device: names[device]),
    )
    binding = SimpleNamespace(
        _lib=devices,
        llama_supports_gpu_offload=lambda: True,
        llama_version=lambda: b"0.5.0",
        llama_print_system_info=lambda: CUDA.encode(),
    )
    monkeypatch.setattr(library, "load", lambda: binding)
    found = build.build()
    assert found.gpus == ("NVIDIA GeForce RTX 4090", "Radeon 780M")
    assert (found.offload, found.simd) == (True, ("AVX2", "AVX512"))
    binding._lib = SimpleNamespace()
    assert build.build().gpus == ()
