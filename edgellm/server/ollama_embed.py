"""Ollama's /api/embed, and /api/embeddings, which it had before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from edgellm.embedder import Text
from edgellm.runtime.keep_alive import keep_alive_seconds
from edgellm.server.body import RequestBody
from edgellm.server.computed import Computed
from edgellm.server.documented import answer
from edgellm.server.models import Models
from edgellm.server.openai_embeddings import check_count, count
from edgellm.server.truncation import Dropped

router = APIRouter(prefix="/api")


class _EmbedBody(RequestBody):
    model: str = ""
    keep_alive: float | str | None = None
    truncate: bool | None = None

    @property
    def truncates(self) -> bool:
        """Ollama cuts off what does not fit unless it is told not to; a header of the reply says how much."""
        return self.truncate is not False


class OllamaEmbedBody(_EmbedBody):
    input: str | list[str] | None = None
    dimensions: Annotated[int, Field(ge=0, le=2**20)] | None = None

    def texts(self) -> list[Text]:
        """None at all where only the model is to be loaded. Raises RequestError for too many."""
        if not self.input:
            return []
        texts: list[Text] = [self.input] if isinstance(self.input, str) else list(self.input)
        check_count(len(texts), "input")
        return texts


class OllamaEmbeddingsBody(_EmbedBody):
    prompt: str = ""


class OllamaEmbedReply(BaseModel):
    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OllamaEmbeddingsReply(BaseModel):
    embedding: list[float]


@router.post("/embed", response_model=None, responses=answer(OllamaEmbedReply))
async def embed(body: OllamaEmbedBody, request: Request) -> Response:
    texts = body.texts()

    async def work() -> tuple[bytes, Mapping[str, str]]:
        reply, headers = await _embedded(body, texts, body.dimensions or None, request.app.state.models)
        return await asyncio.to_thread(msgspec.json.encode, reply), headers

    return Computed(work)


@router.post("/embeddings", response_model=None, responses=answer(OllamaEmbeddingsReply))
async def old_embeddings(body: OllamaEmbeddingsBody, request: Request) -> Response:
    texts: list[Text] = [body.prompt] if body.prompt else []

    async def work() -> tuple[bytes, Mapping[str, str]]:
        reply, headers = await _embedded(body, texts, None, request.app.state.models)
        return msgspec.json.encode({"embedding": next(iter(reply["embeddings"]), [])}), headers

    return Computed(work)


async def _embedded(
    body: _EmbedBody, texts: list[Text], dimensions: int | None, models: Models
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The body of /api/embed, with the times that it took in nanoseconds; and headers."""
    begin_ns = time.perf_counter_ns()
    async with models.embedder(body.model, keep_alive_seconds(body.keep_alive)) as embedder:
        loaded_ns = time.perf_counter_ns()
        made = await embedder.embed(texts, dimensions=dimensions, truncate=body.truncates)
    count(made.tokens)
    reply = {
        "model": embedder.info.name,
        "embeddings": made.vectors.tolist(),
        "total_duration": time.perf_counter_ns() - begin_ns,
        "load_duration": loaded_ns - begin_ns,
        "prompt_eval_count": sum(made.tokens),
    }
    return reply, Dropped(tokens=made.dropped).headers()
