"""OpenAI's Responses: make one, go on from an earlier one, ask for it again, forget it."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.errors import Unsupported
from edgellm.server.documented import SSE_TYPE, answer
from edgellm.server.error_status import refusal
from edgellm.server.models import Models
from edgellm.server.prompt_progress import with_progress
from edgellm.server.response_store import ResponseStore
from edgellm.server.responses_body import InputBody, ResponsesBody
from edgellm.server.responses_items import Item
from edgellm.server.responses_reply import ResponseChunks, ResponseWhole, opening
from edgellm.server.stream import EventStream, WholeReply
from edgellm.server.truncation import NOTHING, fitted, is_asked

router = APIRouter(prefix="/v1/responses")


@router.post("", response_model=None, responses=answer(dict[str, Any], SSE_TYPE))
async def create(body: ResponsesBody, request: Request) -> Response:
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    before = _before(body, request)
    if before is None:
        return _no_previous(body)
    asked = body.request(before, model.info.sampling)
    cuts = body.truncation == "auto" or (body.truncation is None and is_asked(request))
    asked, dropped = await fitted(model, asked) if cuts else (asked, NOTHING)
    response = opening(body, asked, model.info)
    response |= {"truncation": "auto"} if cuts else {}
    response |= {"truncated": {"messages": dropped.messages, "tokens": dropped.tokens}} if dropped.messages else {}
    items = [item.kept() for item in (*before, *body.items())]

    def keep(complete: dict[str, Any]) -> None:
        if body.store is not False:
            _store(request).put(_owned(complete["id"], request), complete, items)

    events, tools = model.stream(asked), body.offered()
    if body.stream:
        chunks = ResponseChunks(response, keep, tools)
        told = with_progress(chunks, body.return_progress)
        return EventStream(events, told, chunks.framing, dropped.headers())
    return WholeReply(events, ResponseWhole(response, keep, tools), dropped.headers())


@router.post("/input_tokens", response_model=None, responses=answer())
async def count(body: InputBody, request: Request) -> Response:
    """How many tokens a request would have, by the model's own template."""
    models: Models = request.app.state.models
    model = await models.get(body.model or "")
    before = _before(body, request)
    if before is None:
        return _no_previous(body)
    tools, choice = body.chosen()
    shown = tools if choice != "none" else ()
    ids = await model.tokenize(body.conversation(before), body.chat_template_kwargs or {}, shown)
    return _json({"object": "response.input_tokens", "input_tokens": len(ids)})


@router.get("/{id}", response_model=None, responses=answer())
async def retrieve(id: str, request: Request, stream: bool = False) -> Response:
    if stream:
        raise Unsupported("A kept response is whole: it cannot be streamed again. Leave stream out.")
    found = _store(request).get(_owned(id, request))
    return _missing(id) if found is None else Response(found.body, media_type="application/json")


@router.delete("/{id}", response_model=None, responses=answer())
async def delete(id: str, request: Request) -> Response:
    if not _store(request).drop(_owned(id, request)):
        return _missing(id)
    return _json({"id": id, "object": "response", "deleted": True})


@router.get("/{id}/input_items", response_model=None, responses=answer())
async def input_items(
    id: str, request: Request, limit: int = 20, order: str = "desc", after: str | None = None
) -> Response:
    """What the response was an answer to, earlier turns included, in pages of at most 100."""
    found = _store(request).get(_owned(id, request))
    if found is None:
        return _missing(id)
    items = msgspec.json.decode(found.items)
    items = items if order == "asc" else items[::-1]
    start = next((index + 1 for index, item in enumerate(items) if after and item["id"] == after), 0)
    page = items[start : start + max(1, min(limit, 100))]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return _json({"object": "list", "data": page, **ends, "has_more": start + len(page) < len(items)})


def _store(request: Request) -> ResponseStore:
    store: ResponseStore = request.app.state.responses
    return store


def _owned(id: str, request: Request) -> str:
    """The id as it is kept: what was made under one key is not there for another."""
    key = str(getattr(request.state, "key", ""))
    return f"{len(key)} {key} {id}"


def _before(body: InputBody, request: Request) -> list[Item] | None:
    """What was said before this request; None where its previous response is not kept (any more)."""
    if body.previous_response_id is None:
        return []
    found = _store(request).get(_owned(body.previous_response_id, request))
    return None if found is None else [Item.model_validate(item) for item in found.conversation()]


def _no_previous(body: InputBody) -> Response:
    message = (
        f"There is no response {str(body.previous_response_id)[:100]!r} here: it was never stored, was deleted, or "
        "gave way to newer ones. Send the whole conversation as input."
    )
    return refusal("previous_response_not_found", message, "previous_response_id")


def _missing(id: str) -> Response:
    return refusal("not_found", f"There is no response {id[:100]!r} here. Only the latest are kept, in memory.", "id")


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
