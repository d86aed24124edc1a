"""OpenAI's POST /v1/embeddings: texts or token ids to vectors, as lists of numbers or in base64."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from edgellm.embedder import Embedder, Embeddings, Text
from edgellm.errors import RequestError
from edgellm.server.body import Body, RequestBody
from edgellm.server.computed import Computed
from edgellm.server.documented import answer
from edgellm.server.models import Models
from edgellm.server.openai_chat import ContentPart
from edgellm.server.openai_options import Count
from edgellm.server.record import current
from edgellm.server.truncation import Dropped, is_asked

MOST_INPUTS = 2048
"""OpenAI's own limit."""

router = APIRouter(prefix="/v1")


class InputObject(Body):
    """A text as llama-server takes it too: plain, or in the parts of a message."""

    prompt_string: str | None = None
    content: list[ContentPart] | None = None

    def text(self) -> str:
        if (self.prompt_string is None) == (self.content is None):
            raise RequestError("An input that is an object needs either 'prompt_string' or 'content'.")
        return self.prompt_string or "".join(part.words() for part in self.content or ())


One = str | InputObject | list[Count]


class EmbeddingsBody(RequestBody):
    input: One | list[One]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=2**20)] | None = None

    def texts(self) -> list[Text]:
        """Raises RequestError for none or too many."""
        given: Any = self.input
        ids = isinstance(given, list) and bool(given) and isinstance(given[0], int)
        found = [given] if ids or not isinstance(given, list) else given
        check_count(len(found), "input")
        return [each.text() if isinstance(each, InputObject) else each for each in found]


class _Embedding(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class _Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    object: Literal["list"]
    data: list[_Embedding]
    model: str
    usage: _Usage


@router.post("/embeddings", response_model=None, responses=answer(EmbeddingsReply))
async def embeddings(body: EmbeddingsBody, request: Request) -> Response:
    models: Models = request.app.state.models
    texts, truncate = body.texts(), is_asked(request)

    async def work() -> tuple[bytes, Mapping[str, str]]:
        async with models.embedder(body.model or "") as embedder:
            made = await embedder.embed(texts, dimensions=body.dimensions, truncate=truncate)
        count(made.tokens)
        reply = await asyncio.to_thread(_reply, made, embedder, body.encoding_format == "base64")
        return reply, Dropped(tokens=made.dropped).headers()

    return Computed(work)


def check_count(number: int, field: str) -> None:
    """Raises RequestError for none or too many."""
    if not number:
        raise RequestError(f"{field} must not be an empty list.")
    if number > MOST_INPUTS:
        raise RequestError(
            f"{field} has {number} entries, and at most {MOST_INPUTS} fit into one request. Send several."
        )


def count(tokens: tuple[int, ...]) -> None:
    """Put what was read on the record of the request."""
    if (record := current.get()) is not None:
        record.prompt_tokens += sum(tokens)


def usage(tokens: tuple[int, ...]) -> dict[str, int]:
    return {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}


def _reply(made: Embeddings, embedder: Embedder, packed: bool) -> bytes:
    rows = made.vectors.astype("<f4")
    shown = [base64.b64encode(row.tobytes()).decode() for row in rows] if packed else rows.tolist()
    data = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(shown)]
    return msgspec.json.encode(
        {"object": "list", "data": data, "model": embedder.info.name, "usage": usage(made.tokens)}
    )
