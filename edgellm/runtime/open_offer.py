"""Opens what a pool is asked for: a model on this machine, for chat or for embeddings, with the memory it will take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgellm.catalog import tokenizer_files
from edgellm.config import Settings
from edgellm.machine.machine import Machine
from edgellm.runtime.assemble import open_located
from edgellm.runtime.locate import Located
from edgellm.runtime.open_embedder import open_embedder
from edgellm.runtime.resident import Opened
from edgellm.runtime.standing import Kind

_AROUND = 256 << 20
"""What a model takes besides its file, where its header does not tell more."""

Opener = Callable[[Located, Settings, Machine], Opened]


def opener(kind: Kind) -> Opener:
    return open_embedder if kind == "embeddings" else open_generator


def open_generator(found: Located, settings: Settings, machine: Machine) -> Opened:
    """A model that writes, with its drafter if it has one. Raises NotEnoughMemory."""
    model, plan, drafter, _ = open_located(found, settings, machine)
    if plan is None:
        return Opened(model, _size(found.path) + _AROUND)
    use = plan.memory
    droppable = use.total - use.needed
    # A draft model's small context is within what a plan leaves free; its weights are not.
    draft = _size(drafter) if drafter is not None else 0
    return Opened(
        model,
        use.needed + draft,
        use.gpu - use.remote,
        use.weights - droppable + draft,
        droppable,
        on_servers=use.remote > 0,
    )


def _size(path: Path) -> int:
    try:
        return tokenizer_files.bytes_in(path) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0
