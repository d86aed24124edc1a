"""OpenAI's two generation endpoints: each body becomes `ChatRequest`s, and the model's events its reply."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.merge import stream_all
from edgellm.server.models import Models
from edgellm.server.openai_chat import ChatBody
from edgellm.server.openai_chat_reply import ChatChunks, ChatWhole
from edgellm.server.openai_schemas import ChatReply, TextReply
from edgellm.server.openai_text import TextBody
from edgellm.server.openai_text_reply import TextChunks, TextWhole
from edgellm.server.prompt_progress import with_progress
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import fitted_if_asked

router = APIRouter(prefix="/v1")


@router.post("/chat/completions", response_model=None, responses=answer(ChatReply, SSE_TYPE))
async def chat_completions(body: ChatBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    asked, dropped = await fitted_if_asked(request, model, body.request(model.info.sampling))
    events = model.stream(asked)
    if body.stream:
        chunks = ChatChunks(model.info.name, asked.n, body.include_usage, body.old_fashioned)
        return EventStream(events, with_progress(chunks, body.return_progress), headers=dropped.headers())
    whole = ChatWhole(model.info.name, asked.n, asked.logprobs is not None, body.old_fashioned)
    return WholeReply(events, whole, dropped.headers())


@router.post("/completions", response_model=None, responses=answer(TextReply, SSE_TYPE))
async def completions(body: TextBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    asked = body.requests(model.info.sampling)
    echoes = await body.echoes(model)
    events = stream_all(model, asked)
    name, n, prompts = model.info.name, body.choices, len(asked)
    if body.stream:
        chunks = TextChunks(name, n, prompts, echoes, body.include_usage)
        return EventStream(events, with_progress(chunks, body.return_progress))
    return WholeReply(events, TextWhole(name, n, prompts, echoes, body.logprobs is not None, body.candidates))
