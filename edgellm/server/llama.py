"""llama-server's own generation: /completion, and /infill for editors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.errors import RequestError
from edgellm.model import Model
from edgellm.request import Prompt
from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.llama_body import CompletionBody, InfillBody
from edgellm.server.llama_reply import LlamaChunks, LlamaWhole, Telling
from edgellm.server.merge import stream_all
from edgellm.server.models import Models
from edgellm.server.openai_options import Bias
from edgellm.server.prompt_progress import with_progress
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import NOTHING, fitted_if_asked

_MOST_TEXTS = 256
router = APIRouter()


@router.post("/completion", response_model=None, responses=answer(dict[str, Any] | list[dict[str, Any]], SSE_TYPE))
async def completion(body: CompletionBody, request: Request) -> Response:
    return await _answer(body, request)


@router.post("/infill", response_model=None, responses=answer(dict[str, Any], SSE_TYPE))
async def infill(body: InfillBody, request: Request) -> Response:
    """What goes between `input_prefix` and `input_suffix`, written by the model's own tokens for that."""
    return await _answer(body, request)


async def _spelled(given: Bias | None, model: Model) -> Bias | None:
    """The bias with texts replaced by their tokens, each of which has it. Raises RequestError for too many."""
    pairs: list[Any] = [list(pair) for pair in given.items()] if isinstance(given, dict) else list(given or ())
    texts = [pair for pair in pairs if len(pair) == 2 and isinstance(pair[0], str) and not pair[0].isdecimal()]
    if not texts:
        return given
    if len(texts) > _MOST_TEXTS:
        raise RequestError(f"logit_bias may have at most {_MOST_TEXTS} texts. Send ids, which /tokenize tells.")
    tokens = [(await model.tokenize(Prompt(text, bare=True)), bias) for text, bias in texts if text]
    others = [[int(pair[0]) if isinstance(pair[0], str) else pair[0], *pair[1:]] for pair in pairs if pair not in texts]
    return others + [[id, bias] for ids, bias in tokens for id in ids]


async def _answer(body: CompletionBody | InfillBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    body = body.model_copy(update={"logit_bias": await _spelled(body.logit_bias, model)})
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
        fields=tuple(body.response_fields or ()),
    )
    events = stream_all(model, asked)
    if body.stream:
        chunks = LlamaChunks(telling, len(asked))
        return EventStream(events, with_progress(chunks, body.return_progress), headers=dropped.headers())
    return WholeReply(events, LlamaWhole(telling, len(asked), is_list=body.is_list), dropped.headers())
