"""What the server says of itself: its models and its health."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.errors import ModelNotFound
from edgellm.runtime.standing import Standing
from edgellm.server.documented import TEXT_TYPE, answer
from edgellm.server.error_status import refusal
from edgellm.server.models import Models, standing_of
from edgellm.server.openai_schemas import ModelReply, ModelsReply, StatusReply

STATUS_S = 2.0
router = APIRouter()


@router.get("/v1/models", response_model=None, responses=answer(ModelsReply))
async def list_models(request: Request) -> Response:
    models: Models = request.app.state.models
    described = [_described(standing) for standing in await models.list()]
    ends = {"first_id": described[0]["id"], "last_id": described[-1]["id"]} if described else {}
    return _json({"object": "list", "data": described, "has_more": False, **ends})


@router.get("/v1/models/{name:path}", response_model=None, responses=answer(ModelReply))
async def get_model(name: str, request: Request) -> Response:
    if not name:
        raise ModelNotFound("The address names no model. Ask for /v1/models to see them all.")
    models: Models = request.app.state.models
    return _json(_described(await standing_of(models, name)))


@router.api_route("/", methods=["GET", "HEAD"], response_model=None, include_in_schema=False)
async def root() -> Response:
    """A word for those who only want to know whether anybody is there, as Ollama's clients do."""
    return Response("edgellm is running", media_type=TEXT_TYPE)


@router.get("/ready", response_model=None, responses=answer(StatusReply))
async def ready(request: Request) -> Response:
    """200 where requests are answered without delay; 503 while models load, and when the server is shutting down."""
    if request.app.state.closing():
        return refusal("unavailable", "The server is shutting down.", headers={"retry-after": "5"})
    if not request.app.state.ready():
        return refusal("loading", "The model is still loading. Requests wait for it.", headers={"retry-after": "1"})
    return _json({"status": "ready"})


@router.get("/health", response_model=None, responses=answer(StatusReply))
async def health(request: Request) -> Response:
    """200 with every model's load, or 503 while models load or when one of them does not answer.

    Without a key, where one is asked for, only the status is told.
    """
    if not request.app.state.ready():
        return refusal("loading", "The model is still loading. Requests wait for it.", headers={"retry-after": "1"})
    if not request.scope["state"].get("known", True):
        return _json({"status": "ok"})
    models: Models = request.app.state.models
    try:
        async with asyncio.timeout(STATUS_S):
            load = {each.info.name: await model.status() for each, model in await models.loaded() if model}
    except TimeoutError:
        return refusal("unavailable", "The model does not answer.", headers={"retry-after": "1"})
    return _json({"status": "ok", "models": load})


def _described(standing: Standing) -> dict[str, Any]:
    """OpenAI's four fields and Anthropic's, whether it is in memory, and under `meta` what llama-server has there.

    Its context is known once it was loaded. `upstream` stands there only for models that another server has.
    """
    info = standing.info
    meta = {
        "n_ctx": info.context_length,
        "n_params": info.parameters,
        "size": info.size_bytes,
        "architecture": info.architecture,
        "quantization": info.quantization,
        "backend": info.backend,
        "sampling": info.sampling,
    }
    described = {
        "id": info.name,
        "object": "model",
        "created": info.created,
        "owned_by": "edgellm",
        "type": "model",
        "display_name": info.name,
        "created_at": datetime.fromtimestamp(info.created, UTC).isoformat().replace("+00:00", "Z"),
        "aliases": standing.aliases,
        "kind": standing.kind,
        "status": {"value": standing.state, "running": standing.running, "waiting": standing.waiting},
        "meta": meta,
    }
    if not standing.upstream:
        return described
    health = {"name": standing.upstream, "answers": not standing.problem, "problem": standing.problem}
    return described | {"upstream": health}


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
