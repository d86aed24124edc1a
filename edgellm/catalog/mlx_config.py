"""A model's sizes as its `config.json` states them, under any of the names that are in use for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgellm.catalog import json_file
from edgellm.errors import NotAModel

SETTINGS = "config.json"
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")
_MOST_LAYERS, _LARGEST = 1024, 2**40


class Config:
    """The settings in `folder`, those of its language model on top. Raises NotAModel when they are no settings."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SETTINGS
        self.outer: dict[str, Any] = json_file.read(self.path, dict[str, Any])
        inner: dict[str, Any] = next(
            (self.outer[name] for name in _INNER if isinstance(self.outer.get(name), dict)), {}
        )
        self.values: Mapping[str, Any] = {**self.outer, **inner}
        self.kind = self.text("model_type")
        self.layers = self.number("num_hidden_layers", "n_layer", "n_layers")
        if self.layers > _MOST_LAYERS:
            raise NotAModel(f"{self.path} is damaged: it claims {self.layers:,} layers. Download it again.")
        self.width = self.number("hidden_size", "n_embd", "d_model")
        self.heads = self.number("num_attention_heads", "n_head", "n_heads")

    def number(self, *names: str, default: int = 0) -> int:
        """The first of `names` that is a whole number, not below 0."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                if value > _LARGEST:
                    raise NotAModel(f"{self.path} is damaged: its {name} is {value:,}. Download it again.")
                return value
        return default

    def text(self, name: str) -> str:
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def list(self, name: str) -> list[Any] | None:
        """A list, one entry a layer at least; None where there is none."""
        value = self.values.get(name)
        return value if isinstance(value, list) and len(value) >= self.layers else None
