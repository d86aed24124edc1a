"""Whether a model's sizes, as its header states them, are ones that llama.cpp computes with instead of aborting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgellm.backends.llamacpp.cursor import Damaged

_LAYERS, _EXPERTS = 512, 1024  # LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")

# Smallest and largest believable value; a list has one value a layer.
_RANGES = {
    "block_count": (1, _LAYERS),
    "embedding_length": (1, 2**20),
    "feed_forward_length": (0, 2**24),
    "context_length": (1, 2**31 - 1),
    "attention.head_count": (0, 2**16),
    "attention.head_count_kv": (0, 2**16),
    "attention.key_length": (0, 2**16),
    "attention.value_length": (0, 2**16),
    "rope.dimension_count": (0, 2**16),
    "expert_count": (0, _EXPERTS),
    "expert_used_count": (0, _EXPERTS),
    "expert_group_count": (0, _EXPERTS),
    "expert_group_used_count": (0, _EXPERTS),
    "nextn_predict_layers": (0, _LAYERS),
}
_EPSILONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "attention.group_norm_epsilon")


class Unknown(Exception):
    """A sound value of a kind this build does not know; the message names it."""


def check(architecture: str, values: Mapping[str, Any], lengths: Mapping[str, int]) -> None:
    """`values` and `lengths` (of lists) by full key. Raises Damaged or Unknown."""
    if not architecture:
        raise Damaged("it does not say what architecture it is")

    def value(name: str) -> Any:
        return values.get(f"{architecture}.{name}")

    for name, (low, high) in _RANGES.items():
        for number in _numbers(value(name)):
            if not low <= number <= high:
                raise Damaged(f"its {name} is {number:,}")
    for name in _EPSILONS:
        epsilon = value(name)
        if isinstance(epsilon, float) and not 0.0 <= epsilon < 1.0:
            raise Damaged(f"its {name} is {epsilon}")
    _check_heads(value)
    _check_experts(value)
    scaling = value("rope.scaling.type")
    if isinstance(scaling, str) and scaling not in _ROPE_SCALINGS:
        raise Unknown(f"its context is extended by the unknown method {scaling!r}")


def _numbers(value: Any) -> tuple[int, ...]:
    found = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in found if isinstance(number, int))


def _check_heads(value: Any) -> None:
    all_heads, all_groups = _numbers(value("attention.head_count")), _numbers(value("attention.head_count_kv"))
    for heads, groups in zip(all_heads, all_groups, strict=False):
        if groups and heads % groups:
            raise Damaged(f"its {heads} attention heads do not divide into {groups} groups")


def _check_experts(value: Any) -> None:
    (experts,) = _numbers(value("expert_count"))[:1] or (0,)
    used = max(_numbers(value("expert_used_count")), default=0)
    groups = max(_numbers(value("expert_group_count")), default=0)
    groups_used = max(_numbers(value("expert_group_used_count")), default=0)
    if used > experts or (experts and not used) or (groups >= experts if experts else groups > 0):
        raise Damaged(f"it uses {used} of {experts} experts in {groups} groups")
    if groups > 1 and (experts % groups or not 0 < groups_used < groups):
        raise Damaged(f"it uses {groups_used} of {groups} expert groups of {experts} experts in all")
