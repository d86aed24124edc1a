"""The experts of a mixture can be named to the library, which then loads the model as before."""

import ctypes
from pathlib import Path

from edgellm.backends.llamacpp import expert_override, library


def test_a_model_loads_with_overrides_given(tiny: Path) -> None:
    lib = library.load()
    overrides = expert_override.overrides(lib)
    assert overrides[0].buffer and b"exps" in overrides[0].pattern
    assert overrides[1].pattern is None
    params = lib.llama_model_default_params()
    params.tensor_buft_overrides = ctypes.addressof(overrides)
    model = lib.llama_model_load_from_file(str(tiny).encode(), params)
    assert model
    lib.llama_model_free(model)
