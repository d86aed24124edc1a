"""`Standing`: how one of the models that can be asked for stands: in memory or not, at what price, until when."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgellm.model import ModelInfo
from edgellm.runtime.locate import Located

Kind = Literal["chat", "embeddings"]
State = Literal["unloaded", "loading", "loaded", "unloading"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`info` is what is known without loading, and all once loaded; `aliases` are its other names.

    Bytes are those it holds, 0 where it is not in memory. `expires_at` is in Unix seconds, None for a model that stays
    or is not in memory. `running` requests use it now, `waiting` ones wait for it to come. `located` is where it lies
    on this machine, which is no client's business. `upstream` is who has it, if it is not on this machine: then it
    counts as loaded while that answers, and `problem` says in a sentence why it does not.
    """

    info: ModelInfo
    aliases: tuple[str, ...] = ()
    kind: Kind = "chat"
    state: State = "unloaded"
    memory_bytes: int = 0
    gpu_bytes: int = 0
    expires_at: float | None = None
    pinned: bool = False
    running: int = 0
    waiting: int = 0
    located: Located | None = None
    upstream: str = ""
    problem: str = ""
