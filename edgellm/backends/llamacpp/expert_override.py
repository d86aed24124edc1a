"""Keeps the routed experts of a mixture in main memory, whichever layers go to the GPU."""

from __future__ import annotations

import ctypes
from typing import Any

from edgellm.errors import Unsupported

_EXPERTS = rb"\.ffn_(up|down|gate|gate_up)_(ch|)exps"  # LLM_FFN_EXPS_REGEX of llama.cpp's common.h


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override: tensors whose names match go to a kind of buffer."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer", ctypes.c_void_p))


def overrides(binding: Any) -> Any:
    """An array for `tensor_buft_overrides`, ended by nothing; it must live until the model is loaded.

    Raises Unsupported where this build of the library does not show the function that is needed.
    """
    try:
        main_memory = ctypes.CFUNCTYPE(ctypes.c_void_p)(("ggml_backend_cpu_buffer_type", binding._lib))
    except AttributeError:  # on Windows only the library that defines a function finds it
        raise Unsupported("this build of llama.cpp cannot keep experts off the GPU; set cpu_experts to false") from None
    return (_Override * 2)(_Override(_EXPERTS, main_memory()), _Override())
