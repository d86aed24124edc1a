"""What Ollama's clients ask about models: /api/tags, /api/ps, /api/show and /api/version."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

import edgellm
from edgellm.errors import RequestError
from edgellm.fit.placement import LONGEST_BY_DEFAULT
from edgellm.model import ModelInfo
from edgellm.request import SamplingParams
from edgellm.runtime.shown import Shown, shown
from edgellm.runtime.standing import Standing
from edgellm.server.body import RequestBody
from edgellm.server.documented import answer
from edgellm.server.models import Models, standing_of
from edgellm.server.ollama_digest import model_digest
from edgellm.server.ollama_schemas import OllamaShowReply, OllamaTagsReply, OllamaVersionReply

_FORMATS = {"llama.cpp": "gguf", "MLX": "mlx", "ONNX Runtime": "onnx"}
_SPOKEN = "0.14.2"
"""The version of Ollama whose API this is: editors refuse to talk to one that is older than what they need."""

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


@router.get("/tags", response_model=None, responses=answer(OllamaTagsReply))
async def tags(request: Request) -> Response:
    models: Models = request.app.state.models
    return _json({"models": [_listed(standing) for standing in await models.list()]})


@router.get("/ps", response_model=None, responses=answer(OllamaTagsReply))
async def ps(request: Request) -> Response:
    """The models in memory, and until when: none while the server still loads its first one."""
    models: Models = request.app.state.models
    return _json({"models": [_running(each) for each, _ in await models.loaded() if each.state == "loaded"]})


@router.post("/show", response_model=None, responses=answer(OllamaShowReply))
async def show(body: ShowBody, request: Request) -> Response:
    """What the model's files tell; what its loaded self tells where there are none."""
    name = body.model or body.name
    if not name:
        raise RequestError("The body needs a 'model' field with the name of a model.")
    models: Models = request.app.state.models
    standing = await standing_of(models, name)
    if standing.located is None:
        return _json(_shown_info(standing.info))
    found = await asyncio.to_thread(shown, standing.located)
    return _json(_shown(found, standing.info))


@router.get("/version", response_model=None, responses=answer(OllamaVersionReply))
async def version() -> Response:
    return _json({"version": _SPOKEN, "edgellm": edgellm.__version__})


def _running(standing: Standing) -> dict[str, Any]:
    """`size` in bytes of all memory, `size_vram` of the GPU's alone."""
    info = standing.info
    expires = datetime.fromtimestamp(standing.expires_at, UTC) if standing.expires_at is not None else None
    return _entry(standing) | {
        "size": standing.memory_bytes + standing.gpu_bytes or info.size_bytes,
        "size_vram": standing.gpu_bytes,
        "expires_at": _NEVER if expires is None else expires.isoformat().replace("+00:00", "Z"),
        "context_length": info.context_length,
        "running": standing.running,
        "waiting": standing.waiting,
        "pinned": standing.pinned,
    }


def _shown(found: Shown, info: ModelInfo) -> dict[str, Any]:
    kind = found.architecture or "general"
    context = info.context_length or min(found.context, LONGEST_BY_DEFAULT)  # nobody shall fill what will not be there
    known: dict[str, Any] = {
        "general.architecture": found.architecture,
        "general.basename": info.name,
        "general.parameter_count": found.parameters,
        f"{kind}.context_length": context,
        f"{kind}.embedding_length": found.embedding,
        f"{kind}.block_count": found.layers,
        f"{kind}.attention.head_count": found.heads,
        f"{kind}.vocab_size": found.vocabulary,
    }
    return _shown_info(info) | {
        "license": found.license,
        "template": found.template,
        "model_info": known,
        "capabilities": list(found.capabilities),
    }


def _shown_info(info: ModelInfo) -> dict[str, Any]:
    known = {
        "general.architecture": info.architecture,
        "general.basename": info.name,
        "general.parameter_count": info.parameters,
        f"{info.architecture or 'general'}.context_length": info.context_length,
    }
    return {
        "modified_at": _when(info),
        "details": _details(info),
        "model_info": known,
        "parameters": _parameters(info.sampling),
        "capabilities": ["completion"],
    }


def _listed(standing: Standing) -> dict[str, Any]:
    """As Ollama tells of models that are elsewhere."""
    if not standing.upstream:
        return _entry(standing)
    there = standing.info.name.removeprefix(f"{standing.upstream}/")
    return _entry(standing) | {"remote_model": there, "remote_host": standing.upstream}


def _entry(standing: Standing) -> dict[str, Any]:
    info = standing.info
    return {
        "name": info.name,
        "model": info.name,
        "modified_at": _when(info),
        "size": info.size_bytes,
        "digest": model_digest(standing),
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
