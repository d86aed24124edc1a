"""A build for many processors loads the code for this one, from its own directory only."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgellm.backends.llamacpp import library


class Function:
    """A native function that takes any prototype and remembers what it was called with."""

    def __init__(self, result: int | None) -> None:
        self._result = result
        self.calls: list[tuple[object, ...]] = []
        self.argtypes: list[type] = []
        self.restype: type | None = ctypes.c_int

    def __call__(self, *arguments: object) -> int | None:
        self.calls.append(arguments)
        return self._result


def binding(folder: Path, loaded: int) -> SimpleNamespace:
    native = SimpleNamespace(
        _name=str(folder / "libllama.so"),
        ggml_backend_reg_count=Function(loaded),
        ggml_backend_load_all_from_path=Function(None),
    )
    return SimpleNamespace(_lib=native)


@pytest.mark.skipif(sys.platform == "win32", reason="there the functions are in a library of their own")
@pytest.mark.parametrize(("loaded", "calls"), [(0, 1), (1, 0)])
def test_code_is_loaded_only_where_none_is_linked_in(tmp_path: Path, loaded: int, calls: int) -> None:
    built = binding(tmp_path, loaded)
    library._choose_processor_code(built)
    assert built._lib.ggml_backend_load_all_from_path.calls == [(os.fsencode(tmp_path),)] * calls


def test_a_library_without_these_functions_is_left_alone(tmp_path: Path) -> None:
    library._choose_processor_code(SimpleNamespace(_lib=SimpleNamespace(_name=str(tmp_path / "libllama.so"))))


def test_the_build_that_is_installed_has_a_processor_backend() -> None:
    assert "CPU" in library.build_id()
