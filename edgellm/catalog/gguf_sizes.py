"""A model's sizes as its GGUF header states them, each checked for being one that a model can have.

Source of names and defaults: llama.cpp's `llama_model_base::load_hparams`.
"""

from __future__ import annotations

from edgellm.catalog.gguf import Header
from edgellm.errors import NotAModel

MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
_LARGEST = 2**32


class Sizes:
    """Reads `ARCHITECTURE.*` settings of `header`. Raises NotAModel for those that are absurd."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self.name = header.name
        self.architecture = header.architecture
        self.blocks = self.number("block_count")  # with the layers that only predict further tokens
        if self.blocks > MOST_LAYERS:
            raise NotAModel(f"{self.name} is damaged: it claims {self.blocks:,} layers. Download it again.")
        ahead = self.number("nextn_predict_layers")
        self.layers = self.blocks - ahead if ahead <= self.blocks else self.blocks
        self.heads = self.each("attention.head_count")
        self.groups = self.each("attention.head_count_kv", self.heads)

    def number(self, name: str, default: int = 0) -> int:
        """One number; `default` where there is none."""
        value = self._header.number(f"{self.architecture}.{name}", default)
        if value >= _LARGEST:
            raise NotAModel(f"{self.name} is damaged: its {name} is {value:,}. Download it again.")
        return value

    def has(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self._header.values

    def list(self, name: str) -> tuple[int, ...] | None:
        """A list of numbers or flags; None where there is no list."""
        value = self._header.values.get(f"{self.architecture}.{name}")
        if not isinstance(value, tuple) or not all(isinstance(item, int) and 0 <= item < _LARGEST for item in value):
            return None
        return tuple(int(item) for item in value if isinstance(item, int))

    def each(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """One number a layer: from a list, from one number for all, or from `default`."""
        listed = self.list(name)
        if listed is None:
            if default is not None and not self.has(name):
                return default
            listed = (self.number(name),) * self.blocks
        return (*listed, *(0,) * self.blocks)[: self.blocks]

    def most(self, name: str) -> int:
        """The largest of all layers."""
        return max((*(self.list(name) or ()), self.number(name)))
