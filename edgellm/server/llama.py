"""llama-server's own generation: /completion, and /infill for editors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.llama_body import CompletionBody, InfillBody
from edgellm.server.llama_reply import LlamaChunks, LlamaWhole
from edgellm.server.models import Models
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import NOTHING, fitted_if_asked

router = APIRouter()


@router.post("/completion", response_model=None, responses=answer(dict[str, Any], SSE_TYPE))
async def completion(body: CompletionBody, request: Request) -> Response:
    return await _answer(body, request)


@router.post("/infill", response_model=None, responses=answer(dict[str, Any], SSE_TYPE))
async def infill(body: InfillBody, request: Request) -> Response:
    """What goes between `input_prefix` and `input_suffix`, written by the model's own tokens for that."""
    return await _answer(body, request)


async def _answer(body: CompletionBody | InfillBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    asked, dropped = await fitted_if_asked(request, model, body.request(model.info.sampling))
    events, settings = model.stream(asked), body.settings(asked)
    cut = dropped != NOTHING
    if body.stream:
        chunks = LlamaChunks(model.info.name, settings, truncated=cut, silent=body.is_silent)
        return EventStream(events, chunks, headers=dropped.headers())
    whole = LlamaWhole(model.info.name, settings, truncated=cut, silent=body.is_silent)
    return WholeReply(events, whole, dropped.headers())
