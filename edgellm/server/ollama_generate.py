"""The body of POST /api/generate, and the `ChatRequest` it means."""

from __future__ import annotations

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import system, user
from edgellm.request import ChatRequest, Conversation, Infill, Input, Prompt, SamplingParams
from edgellm.server.ollama_options import AnswerBody


class GenerateBody(AnswerBody):
    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[str] | None = None
    raw: bool | None = None

    def request(self, recommended: SamplingParams) -> ChatRequest:
        """`recommended` is for the sampling that the body does not name. Raises RequestError or Unsupported."""
        for name in ("template", "context", "images"):
            if getattr(self, name):
                raise Unsupported(f"{name} is not supported. Leave it out; /api/chat takes whole conversations.")
        return self.asked(self._input(), recommended)

    def _input(self) -> Input:
        if self.system and (self.raw or self.suffix):
            raise RequestError("system belongs to a conversation: it cannot go with raw or suffix.")
        if self.suffix:
            return Infill(self.prompt, self.suffix)
        if self.raw:
            return Prompt(self.prompt)
        first = (system(self.system),) if self.system else ()
        return Conversation((*first, user(self.prompt)))
