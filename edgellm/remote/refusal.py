"""What an HTTP error of somebody else's server means here."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from edgellm.errors import (
    ContextOverflow,
    EdgeLLMError,
    KeyRefused,
    ModelNotFound,
    QueueFull,
    RequestError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
    from_code,
)

_LONGEST = 600
_USUAL_S = 1.0
_SECRET = 7
"""Letters that a key has at least, if it is one."""
_TOO_LONG = re.compile(r"context.*(length|size|exceed)|max_model_len")
_CONTEXT = re.compile(r"(?:context (?:length|size|window)|max_model_len)[^0-9]{0,40}(\d{1,9})")
KEY_ADVICE = "Give an API key that it accepts."


def refusal(
    called: str, status: int, body: str, retry_after: str | None = None, key_advice: str = KEY_ADVICE
) -> EdgeLLMError:
    """The error for `status` of the server `called` so, with its own words where it has any.

    `retry_after` is that header's value, which goes into QueueFull.
    """
    said = _said(body)
    if status not in (401, 403) and (known := _known(_error_in(body))) is not None:
        return _waiting(known, retry_after)
    message = f"{called} answered {status}: {said}" if said else f"{called} answered {status} without a reason"
    if status in (401, 403):
        return KeyRefused(f"{message}. {key_advice}")
    if status < 400:
        return UpstreamFailed(f"{message}. Check the URL: this one leads elsewhere.")
    if status == 404:
        return ModelNotFound(f"{message}. Check the URL and the model's name.")
    if status == 429:
        return QueueFull(f"{message}. Try again shortly.", seconds(retry_after))
    if status == 503:
        return Unavailable(f"{message}. Try again shortly.")
    if status in (408, 504):
        return UpstreamTimeout(f"{message}. Try again later.")
    if status >= 500:
        return UpstreamFailed(f"{message}. Its own log may say more.")
    if _TOO_LONG.search(said):
        return _overflow(message, said)
    return RequestError(message)


def broken_off(error: Any) -> EdgeLLMError:
    """What an error in the midst of a stream means."""
    return _known(error) or UpstreamFailed(f"the server broke off its answer: {words(error)}")


def seconds(retry_after: str | None) -> float:
    """What a Retry-After header asks for: a number of seconds, or a date; one second where it makes no sense."""
    if not retry_after:
        return _USUAL_S
    try:
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", retry_after.strip()):
            return float(retry_after)
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return _USUAL_S


def without_key(text: str, key: str) -> str:
    """`text` of an error without the key, which some servers repeat; words like EMPTY, which stand for none, stay."""
    return text.replace(key, "***") if len(key) >= _SECRET else text


def _waiting(error: EdgeLLMError, retry_after: str | None) -> EdgeLLMError:
    if isinstance(error, QueueFull) and retry_after:
        error.retry_after_s = seconds(retry_after)
    return error


def _overflow(message: str, said: str) -> ContextOverflow:
    """Servers tell both numbers in their own words; where one is not found, none is given."""
    context = _CONTEXT.search(said)
    needed = max((int(each) for each in re.findall(r"\d{1,9}", said)), default=0)
    available = int(context[1]) if context else 0
    return ContextOverflow(message, needed, available) if 0 < available < needed else ContextOverflow(message)


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
