"""Anthropic's two endpoints: a message, and the count of the tokens one would have."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.server.anthropic_messages import CountBody, MessagesBody
from edgellm.server.anthropic_reply import ANTHROPIC, MessageChunks, MessageWhole
from edgellm.server.anthropic_schemas import CountReply, MessageReply
from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.models import Models
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import fitted_if_asked

router = APIRouter(prefix="/v1/messages")


@router.post("", response_model=None, responses=answer(MessageReply, SSE_TYPE))
async def messages(body: MessagesBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model)
    asked, dropped = await fitted_if_asked(request, model, body.request(model.info.sampling))
    events = model.stream(asked)
    if body.stream:
        return EventStream(events, MessageChunks(model.info.name), ANTHROPIC, dropped.headers())
    return WholeReply(events, MessageWhole(model.info.name), dropped.headers())


@router.post("/count_tokens", response_model=None, responses=answer(CountReply))
async def count_tokens(body: CountBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model)
    tokens = await model.tokenize(body.conversation(), body.template_args(), body.offered())
    return Response(msgspec.json.encode({"input_tokens": len(tokens)}), media_type="application/json")
