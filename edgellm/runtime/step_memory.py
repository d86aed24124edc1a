"""Keeps what steps of a model cost here and how often guesses came true, so that its next start is an informed one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from edgellm.config import ModelSettings
from edgellm.engine.speculative.acceptance import Record
from edgellm.machine.measurements import Key, Measurements, StepCosts, kept

_KIND = "step_costs"
_LEARNED = "acceptance"
_SCHEME = 1
"""Of the kinds of guesses that are counted; raised when they change."""


class StepMemory:
    """`key` is asked for when first needed: what it is made of may take a moment to find out."""

    def __init__(self, kept: Measurements, key: Callable[[], Key]) -> None:
        self._kept = kept
        self._make_key = key
        self._key: Key | None = None

    def read(self) -> dict[int, float]:
        """Milliseconds by rows; {} if never measured."""
        known = self._kept.read(_KIND, self._known_key(), StepCosts)
        return {} if known is None else {n: ms for n, ms in known.milliseconds.items() if n > 0 and ms > 0}

    def write(self, milliseconds: Mapping[int, float], context: int = 0) -> None:
        """Never raises: what cannot be kept is measured again."""
        if milliseconds:
            costs = StepCosts(milliseconds=dict(milliseconds), context=context, measured_at=time.time())
            self._kept.write(_KIND, self._known_key(), costs)

    def learned(self, proposer: str) -> Record | None:
        """How often guesses of each kind came true; None if never seen."""
        return self._kept.read(_LEARNED, self._learned_key(proposer), Record)

    def learn(self, proposer: str, record: Record) -> None:
        """Never raises."""
        self._kept.write(_LEARNED, self._learned_key(proposer), record)

    def _learned_key(self, proposer: str) -> Key:
        """Wherever and however it is computed, a model writes the same text."""
        return Key(self._known_key().model, f"{proposer}; {_SCHEME}", 0, "")

    def _known_key(self) -> Key:
        if self._key is None:
            self._key = self._make_key()
        return self._key


def memory_of(path: Path, settings: ModelSettings) -> StepMemory:
    """For the model at `path` as the settings have it computed."""

    def key() -> Key:
        from edgellm.machine.machine import detect
        from edgellm.runtime.model_backend import build_id, identity, threads

        build = build_id(path, settings)
        build += f"; {settings.gpu_layers} layers, {settings.kv_type}, {settings.flash_attention}"
        return Key(identity(path), build, threads(path, settings), detect().id)

    return StepMemory(kept(), key)
