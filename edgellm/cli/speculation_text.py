"""What guessing ahead has done, in one line for people: whether it is on, why, and what was measured."""

from __future__ import annotations

from edgellm.model import SpeculationStatus

_SHOWN = (1, 2, 4, 8, 16, 32, 64)


def line(status: SpeculationStatus) -> str:
    parts = [f"guessing ahead: {status.state}"]
    if status.reason:
        parts.append(status.reason)
    if status.drafted:
        parts.append(f"{status.accepted} of {status.drafted} drafted tokens right in {status.rounds} rounds")
        parts.append(f"saved {status.saved_ms / 1000:.1f} s" if status.saved_ms >= 0 else _cost(status.saved_ms))
    parts += [f"{name} guesses right lately {100 * mean:.0f} %" for name, mean in status.acceptance.items()]
    if status.speedup > 1:
        parts.append(f"expected {status.speedup:.2f}x last")
    if status.step_ms:
        shown = (f"{rows}: {status.step_ms[rows]:.3g}" for rows in _SHOWN if rows in status.step_ms)
        parts.append(f"ms of a step by rows {', '.join(shown)}")
    if status.draft_ms is not None:
        parts.append(f"{status.draft_ms:.3g} ms a token of the draft model")
    return "; ".join(parts)


def _cost(saved_ms: float) -> str:
    return f"cost {-saved_ms / 1000:.1f} s"
