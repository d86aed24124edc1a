"""The fields that OpenAI's chat and completions requests share, and llama-server's and vLLM's extensions of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgellm.errors import RequestError
from edgellm.request import SamplingParams

_INT32 = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=_INT32)]
Limit = Annotated[int, Field(ge=-1, le=_INT32)]


class Body(BaseModel):
    """Strict about the types it knows; what it does not know is ignored, as peers do."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class StreamOptions(Body):
    include_usage: bool | None = None


class Options(Body):
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
    logit_bias: dict[str, float] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stop_token_ids: list[Count] | None = None
    max_tokens: Limit | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    priority: Literal["interactive", "batch"] | None = None
    speculation: Literal["auto", "off", "ngram", "draft"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_sound(cls, value: Any) -> Any:
        """A request travels on as UTF-8: what cannot be written again (half a surrogate pair, say) is refused here."""
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError as error:
            raise ValueError("a string holds half of a surrogate pair") from error
        except (OverflowError, RecursionError) as error:
            raise ValueError("a number is too long or the nesting too deep") from error
        return value

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
            "stop": _stops(self.stop),
            "stop_token_ids": tuple(self.stop_token_ids or ()),
            "ignore_eos": bool(self.ignore_eos),
            "priority": self.priority or "interactive",
            "speculation": self.speculation or "auto",
        }

    def sampling(self, recommended: SamplingParams) -> SamplingParams:
        """What the body names, and the model's recommendation for the rest. Raises RequestError."""
        names = ("temperature", "top_p", "min_p", "typical_p", "frequency_penalty", "presence_penalty")
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        given |= {
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "repetition_penalty": self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty,
            "penalty_window": self.repeat_last_n,
            "logit_bias": _logit_bias(self.logit_bias),
            "seed": None if self.seed in (None, -1) else self.seed % 2**64,
        }
        params = msgspec.structs.replace(
            recommended, **{name: value for name, value in given.items() if value is not None}
        )
        problem = params.problem()
        if problem is not None:
            raise RequestError(f"{problem[0].upper()}{problem[1:]}.")
        return params


def _logit_bias(given: dict[str, float] | None) -> dict[int, float] | None:
    if given is None:
        return None
    for token in given:
        if not (token.isascii() and token.isdigit() and len(token) <= 10 and int(token) <= _INT32):
            raise RequestError(f'logit_bias has the key {token[:50]!r}; keys are token ids, such as "42".')
    return {int(token): value for token, value in given.items()}


def _stops(given: str | list[str] | None) -> tuple[str, ...]:
    words = [given] if isinstance(given, str) else given or []
    return tuple(word for word in words if word)


def _limit(max_tokens: int | None) -> int | None:
    """-1 is llama-server's word for "as many as fit"."""
    if max_tokens == 0:
        raise RequestError("max_tokens must be at least 1, or -1 for as many as fit.")
    return None if max_tokens == -1 else max_tokens
