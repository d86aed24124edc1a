"""How fast memory lets a model write: every token reads the weights in use and the KV of what came before."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from edgellm.catalog.model_facts import ModelFacts
from edgellm.cli.benchmark.figures import Decode
from edgellm.config import Settings
from edgellm.errors import EdgeLLMError

_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}


def limited(decodes: Iterable[Decode], facts: ModelFacts, kv_type: str, bandwidth: float) -> tuple[Decode, ...]:
    """`decodes` with the bytes that each token of them reads, and the tokens a second that `bandwidth` allows."""
    known = ((each, round(bytes_per_token(facts, each.context, kv_type))) for each in decodes)
    return tuple(replace(each, bytes_per_token=size, limit_per_s=bandwidth / size) for each, size in known if size)


def bytes_per_token(facts: ModelFacts, context: int, kv_type: str = "f16") -> float:
    """Bytes that decoding one token after `context` others reads: of experts, those at work."""
    used = facts.experts_used / facts.experts if facts.experts else 0.0
    weights = sum(layer.weights - layer.experts + layer.experts * used for layer in facts.layers)
    seen = ((min(context, layer.window) if layer.window else context, layer) for layer in facts.layers)
    kv = sum(tokens * (layer.key + (layer.value or layer.key)) for tokens, layer in seen)
    state = sum(4 * layer.state for layer in facts.layers)
    return weights + facts.output_bytes + facts.other_bytes + kv * _KV_BYTES[kv_type] + state


def known_facts(settings: Settings) -> ModelFacts | None:
    """What the file of the model in use tells; None if it is not on this machine or cannot be read."""
    from edgellm.catalog import metadata
    from edgellm.runtime.locate import locate

    try:
        return metadata.facts(locate(settings.model, replace(settings, offline=True)).path)
    except EdgeLLMError:
        return None
