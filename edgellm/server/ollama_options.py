"""What the bodies of Ollama's /api/chat and /api/generate share: `options`, `format`, `think`, log-probabilities."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.request import ChatRequest, Format, Input, JsonFormat, SamplingParams, SchemaFormat
from edgellm.runtime.keep_alive import keep_alive_seconds
from edgellm.server.body import Body, RequestBody, drawn, sampled, stops

_INT32 = 2**31 - 1
Number = Annotated[int, Field(ge=-_INT32, le=_INT32)]


class SamplingOptions(Body):
    """What of `options` is about one answer; those about loading a model change nothing once it is loaded."""

    num_ctx: Number | None = None
    num_predict: Number | None = None
    temperature: float | None = None
    top_k: Number | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: Number | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    mirostat: int | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None

    def sampling(self, recommended: SamplingParams) -> SamplingParams:
        """Raises RequestError for values out of range, and Unsupported for mirostat."""
        if self.mirostat:
            raise Unsupported("mirostat is not supported. Leave it out, or set it to 0.")
        names = ("temperature", "top_p", "min_p", "typical_p", "frequency_penalty", "presence_penalty")
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        given |= {
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "repetition_penalty": self.repeat_penalty,
            "penalty_window": self.repeat_last_n,
            "seed": drawn(self.seed),
        }
        return sampled(recommended, given)

    def context_warnings(self, name: str, available: int) -> tuple[str, ...]:
        """A model has the context it was loaded with: what is said where more is asked for.

        Clients ask for much, as a rule, and use little. Nothing is cut: a prompt that does not fit is refused.
        """
        if self.num_ctx is None or self.num_ctx <= available:
            return ()
        return (
            f"num_ctx asks for {self.num_ctx} tokens of context, but {name} was loaded with {available}. What does not "
            "fit is refused; start the server with a larger context.",
        )


class AnswerBody(RequestBody):
    """Everything but the input."""

    model: str = ""
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: SamplingOptions | None = None
    keep_alive: float | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def streams(self) -> bool:
        """Ollama streams unless it is told not to."""
        return self.stream is not False

    @property
    def keep_alive_s(self) -> float | None:
        """How long to keep the model; None where the request does not say. Raises RequestError."""
        return keep_alive_seconds(self.keep_alive)

    def asked(self, input: Input, recommended: SamplingParams, **more: Any) -> ChatRequest:
        """`more` are `ChatRequest`'s own fields. Raises RequestError or Unsupported."""
        options = self.options or SamplingOptions()
        limit = options.num_predict
        return ChatRequest(
            input=input,
            model=self.model,
            sampling=options.sampling(recommended),
            max_tokens=limit if limit is not None and limit > 0 else None,
            stop=stops(options.stop),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            format=self._format(),
            **self._thinking(),
            **more,
        )

    def _format(self) -> Format | None:
        if isinstance(self.format, dict):
            return SchemaFormat(self.format)
        if self.format not in (None, "", "json"):
            raise RequestError("format must be 'json' or a JSON schema.")
        return JsonFormat() if self.format else None

    def _thinking(self) -> dict[str, Any]:
        """The fields of `ChatRequest` that `think` means."""
        if self.think is None or isinstance(self.think, bool):
            return {"thinking": self.think}
        if self.think not in ("low", "medium", "high", "max"):
            raise RequestError("think must be true, false, 'low', 'medium', 'high' or 'max'.")
        return {"thinking": True, "reasoning_effort": "xhigh" if self.think == "max" else self.think}
