"""An estimate of what a KV cache takes, to refuse what the system would grant and then kill us for using."""

from __future__ import annotations

from typing import Any

import psutil

from edgellm.backends.llamacpp.file_check import Facts

_BYTES = {"f16": 2.0, "q8_0": 34 / 32}


def kv_bytes(facts: Facts, cells: int, kv_type: str) -> int:
    """Bytes of `cells` cells over all layers; 0 where the header does not tell, or the cache is of another kind."""

    def value(name: str) -> Any:
        return facts.values.get(f"{facts.architecture}.{name}", 0)

    if value("attention.kv_lora_rank") or value("ssm.state_size") or value("attention.sliding_window"):
        return 0
    layers, heads = value("block_count"), value("attention.head_count")
    groups = value("attention.head_count_kv") or heads
    all_groups = sum(groups) if isinstance(groups, tuple) else groups * layers
    most_heads = max(heads, default=0) if isinstance(heads, tuple) else heads
    width = value("embedding_length") // most_heads if most_heads else 0
    widths = (value("attention.key_length") or width) + (value("attention.value_length") or width)
    return int(cells * all_groups * widths * _BYTES[kv_type])


def machine_bytes() -> int:
    """Memory of the machine in all, swap included."""
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)
