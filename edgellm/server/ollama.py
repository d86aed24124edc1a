"""Ollama's two generation endpoints: each body becomes a `ChatRequest`, and the model's events its reply."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.model import Model
from edgellm.server.documented import NDJSON_TYPE, answer
from edgellm.server.models import Models
from edgellm.server.ollama_chat import OllamaChat
from edgellm.server.ollama_generate import GenerateBody
from edgellm.server.ollama_options import AnswerBody
from edgellm.server.ollama_reply import OLLAMA, Lines, OneLine, Shape, chat_shape, generate_shape, loaded_body
from edgellm.server.ollama_schemas import OllamaChatReply, OllamaGenerateReply
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import fitted_if_asked

router = APIRouter(prefix="/api")


@router.post("/chat", response_model=None, responses=answer(OllamaChatReply, NDJSON_TYPE))
async def chat(body: OllamaChat, request: Request) -> Response:
    model = await _model(body, request)
    if not body.messages:
        return await _loaded(body, request, model, chat_shape)
    return await _answer(body, request, model, chat_shape)


@router.post("/generate", response_model=None, responses=answer(OllamaGenerateReply, NDJSON_TYPE))
async def generate(body: GenerateBody, request: Request) -> Response:
    model = await _model(body, request)
    if not body.prompt and not body.suffix:
        return await _loaded(body, request, model, generate_shape)
    return await _answer(body, request, model, generate_shape)


async def _model(body: AnswerBody, request: Request) -> Model:
    """The model of that name. Raises ModelNotFound."""
    models: Models = request.app.state.models
    return await models.get(body.model, body.keep_alive_s)


async def _warnings(body: AnswerBody, request: Request, model: Model) -> tuple[str, ...]:
    """What is said of a context that the model does not have."""
    if body.options is None or body.options.num_ctx is None:
        return ()
    models: Models = request.app.state.models
    await (await models.get(body.model)).start()  # its context is known only then
    return body.options.context_warnings(model.info.name, model.info.context_length)


async def _loaded(body: AnswerBody, request: Request, model: Model, shape: Shape) -> Response:
    """A request without any input loads the model, or lets it go at once."""
    models: Models = request.app.state.models
    unload = body.keep_alive_s == 0.0
    if unload:
        await models.unload(body.model)
    else:
        await model.start()
    reason: Literal["load", "unload"] = "unload" if unload else "load"
    return Response(loaded_body(model.info.name, shape, reason), media_type="application/json")


async def _answer(body: OllamaChat | GenerateBody, request: Request, model: Model, shape: Shape) -> Response:
    begin_ns = time.perf_counter_ns()
    asked, dropped = await fitted_if_asked(request, model, body.request(model.info.sampling))
    warnings = await _warnings(body, request, model)
    events = model.stream(asked)
    if body.streams:
        return EventStream(events, Lines(model.info.name, shape, begin_ns, warnings), OLLAMA, dropped.headers())
    return WholeReply(events, OneLine(model.info.name, shape, begin_ns, warnings), dropped.headers())
