"""What to do instead, where a model does not fit: the smallest change that would."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from edgellm.catalog.metadata import ModelFacts
from edgellm.fit import words
from edgellm.fit.placement import Placement
from edgellm.fit.plan import Plan, Planner

_SHORTEST = 512


def nearest(plan: Plan, facts: ModelFacts, planner: Planner, others: Sequence[Plan] = ()) -> str:
    """One sentence. `others` are plans for other quantizations of the model, or for other models, best first."""
    placed = plan.placement
    short = _context(facts, placed, planner)
    if short:
        return f"A context of {short} tokens would fit: --context {short}."
    halved = replace(placed, kv_type="q8_0")
    if placed.kv_type == "f16" and planner.fits(facts, halved):
        return f"It would fit with --kv-type q8_0, which halves what {words.tokens(placed.context)} of context take."
    fewer = replace(placed, context=_least(facts, placed), slots=1, parallel=1)
    if any(layer.state for layer in facts.layers) and planner.fits(facts, fewer):
        return f"It would fit with one sequence at a time: EDGELLM_SLOTS=1 and --context {fewer.context}."
    for other in others:
        if other.verdict != "no":
            name = f"{other.quantization} of it" if other.model == plan.model else other.model
            return f"{name} would fit: it takes {words.size(other.memory.total)}."
    spare = planner.machine.usable_memory - (plan.memory.needed - plan.memory.weights)
    if spare > 0:
        return f"With these settings a model with up to {words.size(spare)} of weights would fit."
    return "Close other programs, or choose a much smaller model."


def _context(facts: ModelFacts, placed: Placement, planner: Planner) -> int:
    """The longest shorter context that fits, in powers of two; 0 if none does."""
    tokens = 1 << (placed.context - 1).bit_length() - 1 if placed.context > 1 else 0
    while tokens >= _SHORTEST:
        if tokens < placed.context and planner.fits(facts, replace(placed, context=tokens)):
            return tokens
        tokens //= 2
    return 0


def _least(facts: ModelFacts, placed: Placement) -> int:
    return min(placed.context, max(_SHORTEST, min(facts.context or _SHORTEST, 2048)))
