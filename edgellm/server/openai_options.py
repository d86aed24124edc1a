"""The fields that OpenAI's chat and completions requests share, and llama-server's and vLLM's extensions of them."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, Literal

from pydantic import Field

from edgellm.errors import RequestError
from edgellm.request import Format, SamplingParams, SchemaFormat
from edgellm.server.body import Body, RequestBody, drawn, sampled, stops
from edgellm.server.openai_format import ResponseFormat, StructuredOutputs, grammar_of, only_one

_INT32 = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=_INT32)]
Bias = dict[str, float] | list[list[int | float | bool | str]]
Limit = Annotated[int, Field(ge=-1, le=_INT32)]


class StreamOptions(Body):
    include_usage: bool | None = None


class Options(RequestBody):
    """Everything but the input; None means the default."""

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Field(ge=-1, le=_INT32)] | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    repeat_last_n: Limit | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Bias | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stop_token_ids: list[Count] | None = None
    max_tokens: Limit | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    return_progress: bool | None = None
    priority: Literal["interactive", "batch"] | None = None
    speculation: Literal["auto", "off", "ngram", "draft"] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    grammar: str | None = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def request_fields(self, max_tokens: int | None, recommended: SamplingParams) -> dict[str, Any]:
        """The fields of `ChatRequest` that these options fill. Raises RequestError."""
        return {
            "model": self.model or "",
            "sampling": self.sampling(recommended),
            "n": self.choices,
            "max_tokens": _limit(max_tokens),
            "stop": stops(self.stop),
            "stop_token_ids": tuple(self.stop_token_ids or ()),
            "ignore_eos": bool(self.ignore_eos),
            "priority": self.priority or "interactive",
            "speculation": self.speculation or "auto",
            "format": self.format(),
        }

    def format(self) -> Format | None:
        """The output format by any of the names it goes by. Raises RequestError for more than one."""
        guided = StructuredOutputs(
            json=self.guided_json, regex=self.guided_regex, choice=self.guided_choice, grammar=self.guided_grammar
        )
        asked = [*guided.formats(), *(self.structured_outputs or StructuredOutputs()).formats()]
        asked += [SchemaFormat(self.json_schema)] if self.json_schema is not None else []
        asked += [grammar_of(self.grammar)] if self.grammar else []
        named = self.response_format.format() if self.response_format else None
        return only_one([*asked, *([named] if named is not None else [])])

    def sampling(self, recommended: SamplingParams) -> SamplingParams:
        """What the body names, and the model's recommendation for the rest. Raises RequestError."""
        names = ("temperature", "top_p", "min_p", "typical_p", "frequency_penalty", "presence_penalty")
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        given |= {
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "repetition_penalty": self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty,
            "penalty_window": self.repeat_last_n,
            "logit_bias": _logit_bias(self.logit_bias),
            "seed": drawn(self.seed),
        }
        return sampled(recommended, given)


def _logit_bias(given: Bias | None) -> dict[int, float] | None:
    """OpenAI's object, or llama-server's pairs of id and bias, where false bans the token."""
    if given is None:
        return None
    if isinstance(given, list):
        return dict(_pair(entry) for entry in given)
    for token in given:
        if not (token.isascii() and token.isdigit() and len(token) <= 10 and int(token) <= _INT32):
            raise RequestError(f'logit_bias has the key {token[:50]!r}; keys are token ids, such as "42".')
    return {int(token): value for token, value in given.items()}


def _pair(entry: list[int | float | bool | str]) -> tuple[int, float]:
    match entry:
        case [int(token), float() | int() as bias] if not isinstance(token, bool) and 0 <= token <= _INT32:
            return token, -inf if bias is False else float(bias)
        case _:
            raise RequestError("logit_bias as a list has pairs of a token id and a bias, such as [42, -100].")


def _limit(max_tokens: int | None) -> int | None:
    """-1 is llama-server's word for "as many as fit"."""
    if max_tokens == 0:
        raise RequestError("max_tokens must be at least 1, or -1 for as many as fit.")
    return None if max_tokens == -1 else max_tokens
