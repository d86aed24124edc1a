"""Which HTTP status each error code has, and the responses for errors."""

from __future__ import annotations

import math

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgellm.errors import ContextOverflow, EdgeLLMError, QueueFull, RateLimited
from edgellm.server.error_shape import in_dialect, openai_error

OK = 200
CODE_HEADER = "x-edgellm-error"
SERVER_ERROR = 500
STATUS = {
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "unsupported": 400,
    "template_error": 400,
    "previous_response_not_found": 400,
    "invalid_api_key": 401,
    "access_denied": 403,
    "foreign_host": 403,
    "foreign_origin": 403,
    "offline": 403,
    "model_not_found": 404,
    "not_at_source": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "queue_full": 429,
    "rate_limited": 429,
    "checksum_mismatch": 502,
    "unreachable": 502,
    "upstream_failed": 502,
    "upstream_key_refused": 502,
    "loading": 503,
    "unavailable": 503,
    "worker_died": 503,
    "deadline_exceeded": 504,
    "upstream_timeout": 504,
}
_BY_STATUS = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
}


def status_of(code: str) -> int:
    """500 for every code that is not the caller's doing or a passing state."""
    return STATUS.get(code, SERVER_ERROR)


def code_of(status: int) -> str:
    """The code for a status that the web framework chose by itself."""
    return _BY_STATUS.get(status, "invalid_request" if status < SERVER_ERROR else "internal_error")


def error_body(code: str, message: str, param: str | None = None) -> bytes:
    """The body that OpenAI's clients expect."""
    return openai_error(code, status_of(code), message, param)


class Refusal(Response):
    """An error in the words of the dialect whose path was asked; its code is in a header, too: not all tell it."""

    def __init__(self, code: str, message: str, param: str | None, headers: dict[str, str] | None, status: int) -> None:
        super().__init__(error_body(code, message, param), status, headers, "application/json")
        self._error = (code, status, message, param)
        self._given = {CODE_HEADER: code} | (headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = in_dialect(scope, *self._error)
        await Response(body, status, self._given, "application/json")(scope, receive, send)


def refusal(
    code: str, message: str, param: str | None = None, headers: dict[str, str] | None = None, *, status: int = 0
) -> Response:
    """The response for an error that has a code but no exception class; `status` only where the code implies none."""
    return Refusal(code, message, param, headers, status or status_of(code))


def response_for(error: EdgeLLMError) -> Response:
    """The whole response for `error`, with Retry-After (whole seconds, at least 1) where trying again may help."""
    headers = {}
    if status_of(error.code) in (429, 503):
        seconds = error.retry_after_s if isinstance(error, QueueFull | RateLimited) else 1.0
        headers["retry-after"] = str(max(1, math.ceil(min(seconds, 3600.0))))
    return refusal(error.code, message_of(error), headers=headers)


def message_of(error: EdgeLLMError) -> str:
    """The error's own words; an overflow's two numbers are added where its message lacks them and they are known."""
    message = str(error) or error.code
    if (
        isinstance(error, ContextOverflow)
        and error.needed
        and not {str(error.needed), str(error.available)} <= set(_numbers(message))
    ):
        message += f" (needed {error.needed} tokens, available {error.available})"
    return message


def _numbers(text: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in text).split()


def internal_error() -> tuple[str, str]:
    """Code and message for a bug: the log has the details, the client gets none."""
    return "internal_error", "Something went wrong inside edgellm. Its log has the details, under this request's id."
