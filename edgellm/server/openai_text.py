"""The body of POST /v1/completions, and the `ChatRequest`s it means: one a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from edgellm.errors import RequestError, Unsupported
from edgellm.model import Model
from edgellm.request import ChatRequest, Infill, Input, Prompt, SamplingParams, TokenIds
from edgellm.server.openai_options import Count, Options

DEFAULT_MAX_TOKENS = 16  # OpenAI's own


class TextBody(Options):
    prompt: str | list[str] | list[Count] | list[list[Count]]
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None

    @property
    def candidates(self) -> int:
        """How many answers each prompt gets, of which the best `n` are given."""
        return self.best_of or self.choices

    def requests(self, recommended: SamplingParams) -> list[ChatRequest]:
        """One a prompt, in their order; `recommended` is for the sampling that the body does not name.

        Raises RequestError or Unsupported.
        """
        self._check_candidates()
        limit = DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens
        fields = self.request_fields(limit, recommended) | {"n": self.candidates}
        if self.candidates > self.choices and self.logprobs is None:
            fields["logprobs"] = 0  # the candidates are compared by them
        else:
            fields["logprobs"] = self.logprobs
        requests = [ChatRequest(input=each, **fields) for each in self._inputs()]
        if len(requests) * self.candidates > 1024:
            raise RequestError(
                "A request may have at most 1024 choices, prompts times n or best_of. Send several requests."
            )
        return requests

    def _check_candidates(self) -> None:
        if self.candidates < self.choices:
            raise RequestError(f"best_of is {self.candidates}; it must be at least n, which is {self.choices}.")
        if self.stream and self.candidates > self.choices:
            raise RequestError("best_of cannot be streamed: which answers are the best is known at the end only.")

    async def echoes(self, model: Model) -> list[str]:
        """What goes before the answer of each prompt: the prompt itself, where `echo` asks for it.

        Raises Unsupported, and RequestError for ids that `model` does not have.
        """
        if not self.echo:
            return []
        if self.logprobs is not None:
            raise Unsupported(
                "echo together with logprobs is not supported: the prompt's own probabilities are not computed. "
                "Leave one of them out."
            )
        return [await _text(each, model) for each in self._prompts()]

    def _inputs(self) -> list[Input]:
        return [self._input(each) for each in self._prompts()]

    def _prompts(self) -> Sequence[object]:
        prompts = [self.prompt] if isinstance(self.prompt, str) or _is_ids(self.prompt) else self.prompt
        if not prompts or [] in prompts:
            raise RequestError("prompt must not be an empty list.")
        return prompts

    def _input(self, prompt: object) -> Input:
        if isinstance(prompt, str):
            return Infill(prompt, self.suffix) if self.suffix else Prompt(prompt)
        if self.suffix:
            raise Unsupported("suffix is not supported for prompts of token ids. Send the prompt as text.")
        assert isinstance(prompt, list)
        return TokenIds(tuple(prompt))


def _is_ids(prompt: object) -> bool:
    return isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], int)


async def _text(prompt: object, model: Model) -> str:
    """Token ids are written out as the model's vocabulary has them."""
    if isinstance(prompt, str):
        return prompt
    assert isinstance(prompt, list)
    return b"".join(await model.pieces(prompt)).decode("utf-8", "replace")
