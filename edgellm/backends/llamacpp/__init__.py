"""llama.cpp behind the `Backend` interface; importing this loads no native library, loading a model does."""

from edgellm.backends.llamacpp.backend import LlamaCppBackend
from edgellm.backends.llamacpp.library import build_id

__all__ = ["LlamaCppBackend", "build_id"]
