"""`create_app`: the whole HTTP server as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from edgellm.errors import EdgeLLMError
from edgellm.server import (
    anthropic,
    llama,
    metrics,
    ollama,
    ollama_embed,
    ollama_library,
    ollama_models,
    openai,
    openai_embeddings,
    rerank,
    residency,
    responses,
    status,
    tokens,
)
from edgellm.server.accounted import Accounted
from edgellm.server.auth import EVERYBODY, Access, Auth
from edgellm.server.error_status import code_of, internal_error, refusal, response_for
from edgellm.server.guard import MAX_BODY, Guard
from edgellm.server.library import Library
from edgellm.server.models import Models
from edgellm.server.openapi import document
from edgellm.server.request_id import RequestId
from edgellm.server.response_store import ResponseStore
from edgellm.server.traffic import Traffic
from edgellm.server.watched import WatchedModels

_NO_TELEMETRY: TelemetryConfig = {  # no environment variable shall send prompts' traces anywhere
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
_BARE: dict[str, Callable[..., Any]] = {  # as llama-server has them, for clients whose address lacks /v1
    "/chat/completions": openai.chat_completions,
    "/chat/completions/input_tokens": tokens.count,
    "/responses": responses.create,
    "/responses/input_tokens": responses.count,
    "/embeddings": openai_embeddings.embeddings,
    "/completions": llama.completion,
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def create_app(
    models: Models,
    *,
    hosts: frozenset[str] | None = LOOPBACK,
    ready: Callable[[], bool] = lambda: True,
    closing: Callable[[], bool] = lambda: False,
    access: Access = EVERYBODY,
    traffic: Traffic | None = None,
    deadline_s: float = 0.0,
    max_body: int = MAX_BODY,
    library: Library | None = None,
) -> ASGIApp:
    """Serve `models`. `hosts` are the Host names that are answered (None: all); `ready` is what /health tells.

    While `closing`, new work is refused. `access` says who may ask. Requests are accounted for in `traffic`; none takes
    longer than `deadline_s` (0: no limit) or brings a body of more than `max_body` bytes. Through `library` clients may
    fetch and remove models; without one they may not.
    """
    traffic = Traffic() if traffic is None else traffic
    app = _application()
    app.state.models = WatchedModels(models)
    app.state.ready = ready
    app.state.closing = closing
    app.state.traffic = traffic
    app.state.responses = ResponseStore()
    app.state.library = library
    guarded = Guard(Auth(app, access), hosts, max_body, closing)
    return RequestId(Accounted(guarded, traffic, deadline_s))


def _application() -> FastAPI:
    """All routes, and how errors become answers."""
    app = FastAPI(title="edgellm", docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=_NO_TELEMETRY)
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    of_texts = (openai, responses, llama, anthropic, ollama, openai_embeddings, ollama_embed, rerank)
    for routes in (*of_texts, ollama_models, ollama_library, residency, tokens, status, metrics):
        app.include_router(routes.router)
    for path, endpoint in _BARE.items():
        app.add_api_route(path, endpoint, methods=["POST"], response_model=None, include_in_schema=False)
    app.add_api_route("/models", status.list_models, methods=["GET"], response_model=None, include_in_schema=False)
    app.add_exception_handler(EdgeLLMError, _edgellm_error)
    app.add_exception_handler(RequestValidationError, _invalid_body)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    return app


async def _edgellm_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeLLMError)
    return response_for(error)


async def _invalid_body(request: Request, error: Exception) -> Response:
    """The first thing wrong with the body, and where."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return refusal("invalid_request", f"The body is not JSON: {first['ctx']['error']} at {first['loc'][-1]}.")
    where = ".".join(_steps(first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    message = f"{where}: {said}." if where else f"The body is not a sound JSON object: {said}."
    return refusal("invalid_request", message, where or None)


def _steps(location: tuple[str | int, ...]) -> list[str]:
    """The path to a field, without "body" and without the names pydantic gives to a union's members."""
    return [str(step)[:50] for step in location[1:] if isinstance(step, int) or _is_field(step)]


def _is_field(step: str) -> bool:
    return step[:1].islower() and "[" not in step and step != "str"


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = code_of(error.status_code)
    messages = {
        "not_found": f"There is nothing at {request.url.path[:200]}.",
        "method_not_allowed": f"{request.method} is not allowed at {request.url.path[:200]}.",
    }
    headers = dict(error.headers) if error.headers else None
    return refusal(code, messages.get(code, error.detail), headers=headers, status=error.status_code)


async def _bug(request: Request, error: Exception) -> Response:
    """Starlette raises the error again after this answer; `RequestId` logs it."""
    return refusal(*internal_error())
