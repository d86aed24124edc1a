"""What Ollama's clients ask about models: /api/tags, /api/ps, /api/show and /api/version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

import edgellm
from edgellm.errors import RequestError
from edgellm.model import ModelInfo
from edgellm.request import SamplingParams
from edgellm.server.body import RequestBody
from edgellm.server.models import Models

_FORMATS = {"llama.cpp": "gguf"}
_NEVER = "9999-12-31T23:59:59Z"
_SHOWN = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
router = APIRouter(prefix="/api")


class ShowBody(RequestBody):
    model: str = ""
    name: str = ""  # what older clients call it


@router.get("/tags", response_model=None)
async def tags(request: Request) -> Response:
    models: Models = request.app.state.models
    return _json({"models": [_entry(standing.info) for standing in await models.list()]})


@router.get("/ps", response_model=None)
async def ps(request: Request) -> Response:
    """The models in memory: none while the server still loads. They stay until it is stopped."""
    models: Models = request.app.state.models
    loaded = [each.info for each, _ in await models.loaded()] if request.app.state.ready() else []
    more = [{"expires_at": _NEVER, "context_length": info.context_length} for info in loaded]
    return _json({"models": [_entry(info) | each for info, each in zip(loaded, more, strict=True)]})


@router.post("/show", response_model=None)
async def show(body: ShowBody, request: Request) -> Response:
    name = body.model or body.name
    if not name:
        raise RequestError("The body needs a 'model' field with the name of a model.")
    models: Models = request.app.state.models
    info = (await models.get(name)).info
    known = {
        "general.architecture": info.architecture,
        "general.parameter_count": info.parameters,
        f"{info.architecture or 'general'}.context_length": info.context_length,
    }
    return _json(
        {
            "modified_at": _when(info),
            "details": _details(info),
            "model_info": known,
            "parameters": _parameters(info.sampling),
            "capabilities": ["completion"],
        }
    )


@router.get("/version", response_model=None)
async def version() -> Response:
    return _json({"version": edgellm.__version__})


def _entry(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "model": info.name,
        "modified_at": _when(info),
        "size": info.size_bytes,
        "digest": "",
        "details": _details(info),
    }


def _details(info: ModelInfo) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": _FORMATS.get(info.backend, info.backend),
        "family": info.architecture,
        "families": [info.architecture] if info.architecture else [],
        "parameter_size": _size(info.parameters),
        "quantization_level": info.quantization,
    }


def _size(parameters: int) -> str:
    """As in "1.5B" or "135M"; "" where it is not known."""
    if not parameters:
        return ""
    return f"{parameters / 1e9:.1f}B" if parameters >= 10**9 else f"{parameters / 1e6:.3g}M"


def _when(info: ModelInfo) -> str:
    return datetime.fromtimestamp(info.created, UTC).isoformat().replace("+00:00", "Z")


def _parameters(sampling: SamplingParams) -> str:
    """Lines of name and value, as they would stand in a Modelfile."""
    return "\n".join(f"{shown} {getattr(sampling, name)}" for name, shown in _SHOWN.items())


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
