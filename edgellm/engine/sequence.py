"""One stream of tokens with its KV: what was asked, what is computed, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence as Seq
from dataclasses import dataclass, field

from edgellm.engine.constraint import Constraint
from edgellm.engine.sampling import Sampler
from edgellm.engine.speculative.loss_account import LossAccount
from edgellm.errors import EdgeLLMError
from edgellm.events import FinishReason, Timings
from edgellm.request import Priority, SamplingParams, Speculation
from edgellm.telemetry.timing import Stopwatch

Score = tuple[float, list[tuple[int, float]]]
"""A token's natural-log probability, and the best alternatives as (id, log-probability)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the engine is asked for; token ids only.

    `max_tokens` counts generated tokens; `deadline` is in seconds of the engine's clock; `logprobs` None is off.
    """

    id: int
    prompt: Seq[int]
    params: SamplingParams
    seed: int
    max_tokens: int
    stop_tokens: frozenset[int] = frozenset()
    logprobs: int | None = None
    priority: Priority = "interactive"
    speculation: Speculation = "auto"
    deadline: float | None = None
    grammar: Constraint | None = None


@dataclass(slots=True)
class Update:
    """What one step did for one sequence; `finished` or `error` marks the last one."""

    id: int
    tokens: list[int] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    started: int | None = None
    """Prompt tokens found in the prefix cache; set once, when the first chunk is scheduled."""
    computed: int = 0
    """Prompt tokens in the KV so far."""
    finished: FinishReason | None = None
    timings: Timings | None = None
    error: EdgeLLMError | None = None


class Sequence:
    """A job under way; the scheduler gives it a slot, the engine appends tokens."""

    def __init__(self, job: Job, vocabulary_size: int, clock: Callable[[], float]) -> None:
        self.job = job
        self.id = job.id
        self.tokens: list[int] = list(job.prompt)
        self.sampler = Sampler(job.params, job.seed, vocabulary_size)
        self.grammar = job.grammar.start(job.stop_tokens) if job.grammar is not None else None
        self.watch = Stopwatch(clock)
        self.slot: int | None = None
        self.computed = 0
        self.order = 0
        self.last_step = -1
        self.account: LossAccount | None = None

    @property
    def prompt_length(self) -> int:
        return len(self.job.prompt)

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.job.prompt)

    @property
    def remaining(self) -> int:
        """Tokens to compute before the next one can be drawn; 1 means it is decoding."""
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        return self.generated > 0 and self.remaining == 1

    @property
    def rank(self) -> tuple[bool, int]:
        """Who goes first: interactive before batch, then the order of arrival."""
        return (self.job.priority != "interactive", self.order)

    @property
    def ended(self) -> bool:
        """It came to an end of its own: nobody cancelled it, and nothing failed."""
        return self.generated > 0 and self.outcome(self.tokens[-1]) is not None

    def ends_with(self, token: int) -> bool:
        """`token`, just drawn, ends it: as a stop token does, or the last one that the grammar allows."""
        return token in self.job.stop_tokens or (self.grammar is not None and self.grammar.ended)

    def outcome(self, token: int) -> FinishReason | None:
        """Why the sequence ends with `token`, the last one appended, if it does."""
        if self.ends_with(token):
            return "stop"
        return "length" if self.generated >= self.job.max_tokens else None
