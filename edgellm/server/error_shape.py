"""How each dialect words an error: the path that was asked tells which dialect a client speaks."""

from __future__ import annotations

from typing import Any

import msgspec

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# By these words Anthropic's clients tell that they should shorten the conversation: there is no code for it.
_TOO_LONG = "prompt is too long: "
_OVERLOADED = 529  # Anthropic's own status for what everybody else calls 503


def openai_error(code: str, status: int, message: str, param: str | None = None) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return _encoded({"error": {"message": clean(message), "type": kind, "param": param, "code": code}})


def anthropic_error(status: int, message: str, request_id: str | None = None) -> bytes:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"type": kind, "message": clean(message)}
    return _encoded({"type": "error", "error": error, "request_id": request_id})


def ollama_error(message: str) -> bytes:
    """`{"error": message}`."""
    return _encoded({"error": clean(message)})


def in_dialect(scope: Any, code: str, status: int, message: str, param: str | None) -> tuple[int, bytes]:
    """Status and body of an error for whoever sent the request of this ASGI `scope`."""
    path = scope["path"]
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        request_id = scope.get("state", {}).get("request_id")
        if code == "context_length_exceeded":
            message = _TOO_LONG + message
        return (_OVERLOADED if status == 503 else status), anthropic_error(status, message, request_id)
    if path.startswith("/api/"):
        return status, ollama_error(message)
    return status, openai_error(code, status, message, param)


def clean(message: str) -> str:
    """`message` as UTF-8 can write it: it may quote half a surrogate pair."""
    return message.encode("utf-8", "replace").decode()


def _encoded(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value)
