"""Which quantization of a model to take, of several plans for it."""

from __future__ import annotations

from collections.abc import Sequence

from edgellm.fit.plan import Plan

FLUENT = 12.0
"""Tokens a second that are faster than most people read."""
_GOOD_BITS, _SMALL_MODEL_BITS = 6.7, 8.6
"""Above these nobody notices a difference, but in speed: Q6_K, and Q8_0 for models that have little to spare."""
_FAIR_BITS = 4.4
"""Below this, which Q4_K_S is above, answers get worse by more than they get faster."""
_USUAL_BITS = 5.0
"""Where everything is slow: Q4_K_M, which is much better than Q4_0 and hardly slower."""


def choose(plans: Sequence[Plan], *, small: bool = False) -> Plan | None:
    """The one to take, or None if none fits; what is tight comes after all that fit.

    The finest that is still fluent; where none is, about Q4_K_M; else the finest of the coarse.
    `small` says that the model has less than a billion parameters.
    """
    enough = _SMALL_MODEL_BITS if small else _GOOD_BITS
    for wanted in ("fits", "tight"):
        able = [plan for plan in plans if plan.verdict == wanted and plan.backend.usable]
        if able:
            return _of(able, enough)
    return None


def _of(able: list[Plan], enough: float) -> Plan:
    fine = [plan for plan in able if _FAIR_BITS <= plan.bits <= enough]
    fluent = [plan for plan in fine if plan.speed.decode >= FLUENT]
    if fluent:
        return max(fluent, key=lambda plan: plan.bits)
    if fine:
        usual = [plan for plan in fine if plan.bits <= _USUAL_BITS]
        return max(usual, key=lambda plan: plan.bits) if usual else min(fine, key=lambda plan: plan.bits)
    coarse = [plan for plan in able if plan.bits < _FAIR_BITS]
    return max(coarse, key=lambda plan: plan.bits) if coarse else min(able, key=lambda plan: plan.bits)
