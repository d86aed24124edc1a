"""`Tally`: the counts and times of all choices of one reply, in OpenAI's and llama-server's words."""

from __future__ import annotations

from typing import Any

from edgellm.events import Finished, Started, Timings, Usage


class Tally:
    """Choices come in groups of `n`, a group a prompt; a prompt counts once however many choices it has."""

    def __init__(self, n: int, prompts: int = 1) -> None:
        self._n = n
        self._choices = n * prompts
        self._finished: dict[int, Finished] = {}
        self._warnings: dict[str, None] = {}

    def add(self, event: Finished) -> None:
        self._finished[event.choice] = event

    def start(self, event: Started) -> None:
        self._warnings |= dict.fromkeys(event.warnings)

    def warnings(self) -> dict[str, Any]:
        """What was asked for and is not honoured; nothing where all of it is."""
        return {"warnings": list(self._warnings)} if self._warnings else {}

    @property
    def complete(self) -> bool:
        return len(self._finished) == self._choices

    def usage(self) -> dict[str, Any]:
        """What was cached is what the choice that found least found: the others found what that one had computed."""
        groups: dict[int, list[Usage]] = {}
        for choice, event in self._finished.items():
            groups.setdefault(choice // self._n, []).append(event.usage)
        prompt = sum(max(usage.prompt_tokens for usage in group) for group in groups.values())
        cached = sum(min(usage.cached_tokens for usage in group) for group in groups.values())
        completion = sum(event.usage.completion_tokens for event in self._finished.values())
        thoughts = sum(event.usage.reasoning_tokens for event in self._finished.values())
        details = {"completion_tokens_details": {"reasoning_tokens": thoughts}} if thoughts else {}
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            **details,
        }

    def timings(self) -> dict[str, Any]:
        """Counts add up; choices decode side by side, so the longest stands for all their decoding time."""
        each = [event.timings for event in self._finished.values()]
        total = Timings(
            cache_n=sum(t.cache_n for t in each),
            prompt_n=sum(t.prompt_n for t in each),
            prompt_ms=sum(t.prompt_ms for t in each),
            predicted_n=sum(t.predicted_n for t in each),
            predicted_ms=max((t.predicted_ms for t in each), default=0.0),
            draft_n=sum(t.draft_n for t in each),
            draft_n_accepted=sum(t.draft_n_accepted for t in each),
        )
        # As llama-server: nothing is said of drafts where there were none.
        drafts = {"draft_n": total.draft_n, "draft_n_accepted": total.draft_n_accepted} if total.draft_n else {}
        return {
            "cache_n": total.cache_n,
            "prompt_n": total.prompt_n,
            "prompt_ms": total.prompt_ms,
            "prompt_per_token_ms": _inverse(total.prompt_per_second),
            "prompt_per_second": total.prompt_per_second,
            "predicted_n": total.predicted_n,
            "predicted_ms": total.predicted_ms,
            "predicted_per_token_ms": _inverse(total.predicted_per_second),
            "predicted_per_second": total.predicted_per_second,
            **drafts,
        }


def _inverse(per_second: float) -> float:
    return 1000.0 / per_second if per_second > 0 else 0.0
