"""What a native library must offer to be driven as llama.cpp: its functions by stock names, and its own settings."""

from __future__ import annotations

from typing import Any, Protocol

from edgellm.backends.llamacpp.log import NativeLog
from edgellm.config import ModelSettings


class Native(Protocol):
    """A module can be one: stock llama.cpp (`library`), or a fork whose interface has drifted from it."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """What people call it."""
        ...

    @property
    def log(self) -> NativeLog: ...

    def load(self) -> Any:
        """The `llama_*` functions under stock llama.cpp's names, ready for use. Safe to call from any thread."""
        ...

    def build_id(self) -> str:
        """What measurements and saved states depend on."""
        ...

    def address_function(self, name: str) -> Any:
        """The function `name` of one context, returning an address as a plain number: cheaper than a pointer."""
        ...

    def model_params(self, settings: ModelSettings) -> Any:
        """The library's own structure, without `progress_callback`."""
        ...

    def context_params(self, settings: ModelSettings, cells: int, rows: int) -> Any:
        """The library's own structure. Raises Unsupported for settings it cannot honour."""
        ...
