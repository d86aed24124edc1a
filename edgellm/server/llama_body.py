"""The bodies of llama-server's POST /completion and /infill, and the `ChatRequest` each means."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.request import ChatRequest, Infill, Input, Prompt, SamplingParams, SourceFile, TokenIds
from edgellm.server.body import Body
from edgellm.server.openai_options import Count, Limit, Options

_MOST_PROMPTS = 1024


class LlamaOptions(Options):
    """Everything but the input."""

    n_predict: Limit | None = None
    n_probs: Annotated[int, Field(ge=0, le=100)] | None = None
    return_tokens: bool | None = None
    response_fields: Annotated[list[str], Field(max_length=100)] | None = None

    @property
    def is_silent(self) -> bool:
        """Whether only the prompt is to be computed, so that a later request finds it so."""
        return self.n_predict == 0

    def asked(self, input: Input, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError."""
        if self.choices > 1:
            raise RequestError("This address gives one answer. Leave n out, or use /v1/completions.")
        limit = self.max_tokens if self.n_predict is None else self.n_predict
        fields = self.request_fields(1 if self.is_silent else limit, recommended)
        least = 0 if self.return_tokens else None  # an answer's ids come with its probabilities
        return ChatRequest(input=input, logprobs=self.n_probs or least, **fields)

    def settings(self, asked: ChatRequest) -> dict[str, Any]:
        """What the answer is made with, in llama-server's words."""
        sampling = asked.sampling
        return {
            "n_predict": -1 if asked.max_tokens is None else asked.max_tokens,
            "seed": sampling.seed,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "typical_p": sampling.typical_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": sampling.penalty_window,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "stop": asked.stop,
            "ignore_eos": asked.ignore_eos,
            "n_probs": self.n_probs or 0,
            "stream": bool(self.stream),
        }


class PromptObject(Body):
    """A text that may have images."""

    prompt_string: str
    multimodal_data: Any = None

    def text(self) -> str:
        if self.multimodal_data:
            raise Unsupported("Images are not supported. Send text only.")
        return self.prompt_string


One = str | PromptObject | list[Count]


class CompletionBody(LlamaOptions):
    """One prompt, or a list of them, which is answered by a list."""

    prompt: One | list[One]

    @property
    def is_list(self) -> bool:
        return isinstance(self.prompt, list) and not _is_ids(self.prompt)

    def requests(self, recommended: SamplingParams) -> list[ChatRequest]:
        """One a prompt. Raises RequestError or Unsupported."""
        prompts: Any = self.prompt if self.is_list else [self.prompt]
        if not prompts or [] in prompts or len(prompts) > _MOST_PROMPTS:
            raise RequestError(f"prompt must be a text, token ids, or a list of 1 to {_MOST_PROMPTS} of either.")
        return [self.asked(_input(prompt), recommended) for prompt in prompts]


def _is_ids(prompt: Any) -> bool:
    return isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], int)


def _input(prompt: One) -> Input:
    if isinstance(prompt, list):
        return TokenIds(tuple(prompt))
    return Prompt(prompt if isinstance(prompt, str) else prompt.text())


class ExtraFile(Body):
    text: str
    filename: str = "tmp"


class InfillBody(LlamaOptions):
    input_prefix: str
    input_suffix: str
    input_extra: list[ExtraFile] = Field(default=[])
    prompt: str = ""

    is_list: ClassVar[bool] = False

    def requests(self, recommended: SamplingParams) -> list[ChatRequest]:
        """Raises RequestError."""
        files = tuple(SourceFile(file.filename, file.text) for file in self.input_extra)
        return [self.asked(Infill(self.input_prefix, self.input_suffix, self.prompt, files), recommended)]
