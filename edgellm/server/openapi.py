"""`document`: the OpenAPI document of the server: the routes' own words, and what is true of every route alike."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import edgellm
from edgellm.server.auth import OPEN

_ABOUT = "Language models of this machine, in the dialects of OpenAI, Anthropic, Ollama and llama-server."
_TITLES = {
    "400": "The request is malformed, asks for what cannot be done, or does not fit in the context.",
    "401": "The server asks for a key, and none that it knows was sent.",
    "403": "A foreign Host or Origin.",
    "404": "There is no such model, or no such thing here.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is not sent as JSON.",
    "429": "Too many requests wait. Retry-After says for how long to stay away.",
    "500": "A fault of edgellm's own; its log has the details.",
    "502": "The model's source does not answer, or sends something else than it promised.",
    "503": "The model cannot answer right now, or the server is shutting down.",
    "504": "The request's own deadline passed.",
    "529": "The model cannot answer right now, or the server is shutting down.",
}
_ALWAYS = ("401", "403", "500", "503")
_WITH_BODY = ("400", "401", "403", "404", "408", "413", "415", "429", "500", "503", "504")
_SCHEMAS: dict[str, Any] = {
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                },
            }
        },
    },
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            },
            "request_id": {"type": ["string", "null"]},
        },
    },
    "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
}
_KEYS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `edgellm keys create`.",
    },
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same, Anthropic's way."},
}
_TIMEOUT = {
    "name": "x-request-timeout",
    "in": "header",
    "required": False,
    "description": "Seconds that the request may take, at most a day; it ends with 504 or an error in the stream.",
    "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
}


def document(app: FastAPI) -> dict[str, Any]:
    """Made once, when somebody first asks."""
    if app.openapi_schema is None:
        made = get_openapi(title="edgellm", version=edgellm.__version__, description=_ABOUT, routes=app.routes)
        for path, operations in made["paths"].items():
            for method, operation in operations.items():
                _complete(path, method, operation)
        components = made.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which is never sent
            schemas.pop(name, None)
        schemas.update(_SCHEMAS)
        components["securitySchemes"] = _KEYS
        app.openapi_schema = made
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Say what every route may answer besides its own answers."""
    answers = operation["responses"]
    answers.pop("422", None)
    content = answers["200"].get("content", {})
    if content.get("application/json", {}).get("schema") == {} and len(content) > 1:
        del content["application/json"]  # FastAPI's own guess
    shape = _shape(path)
    for status in _statuses(path, method, operation):
        reply = {"description": _TITLES[status]}
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
        answers.setdefault(status, reply | {"content": content})
    if "requestBody" in operation:
        operation.setdefault("parameters", []).append(_TIMEOUT)
    operation["security"] = [{}] if path in OPEN else [{}, {"bearer": []}, {"x-api-key": []}]


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    found = list(_WITH_BODY if "requestBody" in operation or method != "get" else _ALWAYS)
    if "parameters" in operation:
        found += ["400", "404"]
    if path == "/api/pull":
        found.append("502")
    if path.startswith("/v1/messages"):
        found = ["529" if status == "503" else status for status in found]
    return sorted(set(found))


def _shape(path: str) -> str:
    if path.startswith("/v1/messages"):
        return "AnthropicError"
    return "OllamaError" if path.startswith("/api/") else "OpenAIError"
