"""llama-server's own generation: /completion, and /infill for editors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.llama_body import CompletionBody, InfillBody
from edgellm.server.llama_reply import LlamaChunks, LlamaWhole, Telling
from edgellm.server.merge import stream_all
from edgellm.server.models import Models
from edgellm.server.prompt_progress import with_progress
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import NOTHING, fitted_if_asked

router = APIRouter()


@router.post("/completion", response_model=None, responses=answer(dict[str, Any] | list[dict[str, Any]], SSE_TYPE))
async def completion(body: CompletionBody, request: Request) -> Response:
    return await _answer(body, request)


@router.post("/infill", response_model=None, responses=answer(dict[str, Any], SSE_TYPE))
async def infill(body: InfillBody, request: Request) -> Response:
    """What goes between `input_prefix` and `input_suffix`, written by the model's own tokens for that."""
    return await _answer(body, request)


async def _answer(body: CompletionBody | InfillBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    asked, dropped = body.requests(model.info.sampling), NOTHING
    if len(asked) == 1:  # lists are of plain prompts, of which nothing may be left out
        first, dropped = await fitted_if_asked(request, model, asked[0])
        asked = [first]
    telling = Telling(
        model=model.info.name,
        settings=body.settings(asked[0]),
        truncated=dropped != NOTHING,
        silent=body.is_silent,
        scores=bool(body.n_probs),
    )
    events = stream_all(model, asked)
    if body.stream:
        chunks = LlamaChunks(telling, len(asked))
        return EventStream(events, with_progress(chunks, body.return_progress), headers=dropped.headers())
    return WholeReply(events, LlamaWhole(telling, len(asked), is_list=body.is_list), dropped.headers())
