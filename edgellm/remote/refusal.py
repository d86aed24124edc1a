"""What an HTTP error of somebody else's server means here."""

from __future__ import annotations

import json
from typing import Any

from edgellm.errors import (
    BackendError,
    ContextOverflow,
    EdgeLLMError,
    ModelNotFound,
    QueueFull,
    RequestError,
    Unavailable,
    from_code,
)

_LONGEST = 600


def refusal(url: str, status: int, body: str) -> EdgeLLMError:
    """The error for `status`, with the server's own words where it has any."""
    said = _said(body)
    if status not in (401, 403) and (known := _known(_error_in(body))) is not None:
        return known
    message = f"{url} answered {status}: {said}" if said else f"{url} answered {status} without a reason"
    if status in (401, 403):
        return RequestError(f"{message}. Give an API key that it accepts.")
    if status == 404:
        return ModelNotFound(f"{message}. Check the URL and the model's name.")
    if status == 429:
        return QueueFull(f"{message}. Try again shortly.")
    if status in (502, 503, 504):
        return Unavailable(f"{message}. Try again shortly.")
    if status >= 500:
        return BackendError(f"{message}. Its own log may say more.")
    if "context" in said and ("length" in said or "size" in said or "exceed" in said):
        return ContextOverflow(message)
    return RequestError(message)


def broken_off(error: Any) -> EdgeLLMError:
    """What an error in the midst of a stream means."""
    return _known(error) or Unavailable(f"the server broke off its answer: {words(error)}")


def words(error: Any) -> str:
    """The words of an error as it stands in a body: a text, or an object with a message."""
    text = error.get("message", error) if isinstance(error, dict) else error
    return _short(text if isinstance(text, str) else json.dumps(text))


def _known(error: Any) -> EdgeLLMError | None:
    """An error whose code is one of ours, as our own servers have it; other programs know some of them too."""
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, str):
        return None
    found = from_code(code, words(error))
    return found if type(found) is not EdgeLLMError else None


def _error_in(body: str) -> Any:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed.get("error") if isinstance(parsed, dict) else None


def _said(body: str) -> str:
    try:
        parsed = json.loads(body)
    except ValueError:
        return "" if "<" in body[:100] else _short(body)
    if not isinstance(parsed, dict):
        return _short(body)
    return words(parsed.get("error") or parsed.get("detail") or parsed.get("message") or parsed)


def _short(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
