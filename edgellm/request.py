"""What a caller asks of a `Model`: one `ChatRequest`, whatever dialect it arrived in."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edgellm.messages import Message, Tool


class Conversation(msgspec.Struct, frozen=True, tag="conversation"):
    """Messages for the model's own chat template; `continue_last` lets it go on with a last assistant message."""

    messages: tuple[Message, ...]
    continue_last: bool = False


class Prompt(msgspec.Struct, frozen=True, tag="prompt"):
    """Raw text, without a template; if `bare`, without what the model wants around a text either, such as BOS."""

    text: str
    bare: bool = False


class SourceFile(msgspec.Struct, frozen=True):
    """A file, or a piece of one, that a model is shown beside the one it writes in."""

    name: str
    text: str


class Infill(msgspec.Struct, frozen=True, tag="infill"):
    """The hole between `prefix` and `suffix`, for models with fill-in-the-middle tokens.

    `begun` is how the filling begins. `files` stand before it all, with names if the model knows such; None also leaves
    out what says that this is one file of a repository.
    """

    prefix: str
    suffix: str
    begun: str = ""
    files: tuple[SourceFile, ...] | None = None


class TokenIds(msgspec.Struct, frozen=True, tag="token_ids"):
    """Ids of the model's own vocabulary, taken as they are."""

    ids: tuple[int, ...]


Input = Conversation | Prompt | Infill | TokenIds


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn; the neutral value of each switches it off. Ranges are checked by `problem`.

    Applied in llama.cpp's order: logit bias, penalties, top-k, typical, top-p, min-p, temperature.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: dict[int, float] = {}
    seed: int | None = None

    def problem(self) -> str | None:
        """The first value out of range, in words, or None."""
        checks = (
            (0.0 <= self.temperature <= 100.0, "temperature must be between 0 and 100"),
            (self.top_k >= 0, "top_k must be 0 (off) or more"),
            (0.0 < self.top_p <= 1.0, "top_p must be above 0 and at most 1"),
            (0.0 <= self.min_p < 1.0, "min_p must be at least 0 and below 1"),
            (0.0 < self.typical_p <= 1.0, "typical_p must be above 0 and at most 1"),
            (0.0 < self.repetition_penalty <= 100.0, "repetition_penalty must be above 0 and at most 100"),
            (-2.0 <= self.frequency_penalty <= 2.0, "frequency_penalty must be between -2 and 2"),
            (-2.0 <= self.presence_penalty <= 2.0, "presence_penalty must be between -2 and 2"),
            (self.penalty_window >= -1, "penalty_window must be -1 (everything), 0 (off) or more"),
            (self.seed is None or 0 <= self.seed < 2**64, "seed must be between 0 and 2**64 - 1"),
        )
        return next((words for good, words in checks if not good), None)


GREEDY = SamplingParams(temperature=0.0)


class JsonFormat(msgspec.Struct, frozen=True, tag="json"):
    """Any JSON object."""


class SchemaFormat(msgspec.Struct, frozen=True, tag="schema"):
    """JSON that validates against `schema`; with `strict`, a keyword that cannot be honoured is an error."""

    schema: dict[str, Any]
    strict: bool = False


class GrammarFormat(msgspec.Struct, frozen=True, tag="grammar"):
    """Text of a grammar, in the notation `syntax` names."""

    grammar: str
    syntax: Literal["lark", "regex"] = "lark"


Format = JsonFormat | SchemaFormat | GrammarFormat
Priority = Literal["interactive", "batch"]
Speculation = Literal["auto", "off", "ngram", "draft"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a model needs for one answer (or `n` of them).

    `max_tokens` None means as many as fit. `logprobs` None is off; k >= 0 gives each token's own
    log-probability and the k best beside it. `deadline_s` counts seconds from when the model receives the request.
    `speculation` names who may guess ahead (nobody; copies of what was said; a draft model), where the model can.
    `tool_choice` is "auto", "none", "required" or the name of the one tool to call. `parallel_tool_calls` False allows
    one call, True any number; None leaves it to the model, and makes it one where it must call. `thinking` None leaves
    it to the model whether it thinks first; `reasoning_budget` counts the tokens it may think for (None: no bound, 0:
    none); `reasoning_effort` is told to models whose template asks for it.
    """

    input: Input
    model: str = ""
    sampling: SamplingParams = SamplingParams()
    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    format: Format | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool | None = None
    thinking: bool | None = None
    reasoning_budget: int | None = None
    reasoning_effort: Effort | None = None
    template_args: dict[str, Any] = {}
    priority: Priority = "interactive"
    speculation: Speculation = "auto"
    deadline_s: float | None = None


def ask(text: str, **options: Any) -> ChatRequest:
    """A request of one user message; `options` are `ChatRequest`'s own fields."""
    from edgellm.messages import user

    return ChatRequest(input=Conversation((user(text),)), **options)
