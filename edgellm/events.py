"""What comes back from a `Model`, piece by piece: a tagged union of small frozen structs.

Order for each choice: `Started`, any `Progress`, then `Text`, `Reasoning` and tool events, then exactly one
`Finished` or `Failed`. Events of different choices interleave.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class TokenLogprob(msgspec.Struct, frozen=True):
    """One token with its natural-log probability, from the logits before sampling changed them."""

    token: int
    text: str
    data: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


class Usage(msgspec.Struct, frozen=True):
    """Token counts: `cached_tokens` of the prompt were not computed again, `reasoning_tokens` of the answer thought."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Timings(msgspec.Struct, frozen=True):
    """Counts and milliseconds of one choice, named as llama-server names them, and what else is known.

    `prompt_n` tokens were computed in `prompt_ms` (`cache_n` more came from the prefix cache); `predicted_n` tokens
    were generated in `predicted_ms`. `queue_ms` was spent waiting, `load_ms` loading the model for this request.
    `draft_n` tokens were guessed ahead, `draft_n_accepted` of them right; by the engine's own account that saved
    `draft_saved_ms` (below 0: cost) against plain steps, and was `draft_risked_ms` behind them at its worst moment.
    """

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    queue_ms: float = 0.0
    load_ms: float = 0.0
    draft_n: int = 0
    draft_n_accepted: int = 0
    draft_saved_ms: float = 0.0
    draft_risked_ms: float = 0.0

    @property
    def prompt_per_second(self) -> float:
        return 1000.0 * self.prompt_n / self.prompt_ms if self.prompt_ms > 0 else 0.0

    @property
    def predicted_per_second(self) -> float:
        """Decode speed, the first token left out: it belongs to the prompt's last step."""
        return 1000.0 * (self.predicted_n - 1) / self.predicted_ms if self.predicted_ms > 0 else 0.0


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The prompt was accepted and its first chunk is being computed; `warnings` say what of it is not honoured."""

    prompt_tokens: int
    cached_tokens: int
    choice: int = 0
    warnings: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """So many of the prompt's tokens are in the KV cache."""

    done: int
    total: int
    choice: int = 0


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A piece of the answer, whole characters only; `logprobs` has one entry a token, and may lag behind the text."""

    text: str
    choice: int = 0
    part: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    text: str
    choice: int = 0
    part: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class ToolStart(msgspec.Struct, frozen=True, tag="tool_start"):
    id: str
    name: str
    choice: int = 0
    part: int = 0


class ToolArguments(msgspec.Struct, frozen=True, tag="tool_arguments"):
    """The next piece of the call's JSON arguments."""

    text: str
    choice: int = 0
    part: int = 0


class ToolEnd(msgspec.Struct, frozen=True, tag="tool_end"):
    choice: int = 0
    part: int = 0


FinishReason = Literal["stop", "length", "tool_calls"]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The choice is complete; `stop` is the stop string that ended it, if one did."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    stop: str | None = None
    choice: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The choice broke off after it had started; `code`, `message` and `details` are those of an `EdgeLLMError`."""

    code: str
    message: str
    details: dict[str, float] = {}
    choice: int = 0


Event = Started | Progress | Text | Reasoning | ToolStart | ToolArguments | ToolEnd | Finished | Failed
