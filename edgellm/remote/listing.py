"""What an OpenAI-compatible server lists: the entries of its /v1/models, read and asked for."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec

from edgellm.errors import KeyRefused, UpstreamFailed, UpstreamTimeout
from edgellm.remote.flavour import Flavour, flavour_of
from edgellm.remote.refusal import KEY_ADVICE, refusal, without_key
from edgellm.remote.trouble import told

Entry = dict[str, Any]
_MOST_BYTES = 8 << 20


class Listing(msgspec.Struct, frozen=True):
    """`seconds` is how long it took to come."""

    entries: tuple[Entry, ...]
    flavour: Flavour
    seconds: float


def root_of(url: str) -> str:
    """The address without `/v1` at its end."""
    return url.rstrip("/").removesuffix("/v1")


def is_here(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = (urlsplit(url).hostname or "").lower()
    return host in ("localhost", "::1") or host.startswith("127.")


def headers_of(api_key: str) -> dict[str, str]:
    """Raises KeyRefused for what no header can hold, which libraries would repeat in their errors."""
    if not api_key.isascii() or not api_key.isprintable():
        raise KeyRefused("the API key has characters that no key has, such as the end of a line. Correct it.")
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def entries_of(text: str, called: str) -> list[Entry]:
    """The entries in a body. Raises UpstreamFailed where it is none."""
    try:
        entries = [dict(entry) for entry in json.loads(text)["data"]]
        if not all(isinstance(entry["id"], str) for entry in entries):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UpstreamFailed(f"{called} does not answer as an OpenAI-compatible server. Check the URL.") from None
    return entries


def ask(url: str, api_key: str, called: str, limit_s: float, key_advice: str = KEY_ADVICE) -> Listing:
    """Ask for them without an event loop; blocks for about `limit_s` seconds at most. Raises EdgeLLMError."""
    import httpx

    began = time.monotonic()
    with (
        told(called, url),
        httpx.Client(headers=headers_of(api_key), timeout=limit_s, trust_env=not is_here(url)) as client,
        client.stream("GET", f"{root_of(url)}/v1/models") as response,
    ):
        body = b""
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MOST_BYTES or time.monotonic() > began + limit_s:
                raise UpstreamTimeout(f"{called} does not come to the end of its list of models.")
    text = body.decode("utf-8", "replace")
    if not response.is_success:
        said, retry_after = without_key(text, api_key), response.headers.get("retry-after")
        raise refusal(called, response.status_code, said, retry_after, key_advice)
    entries = entries_of(text, called)
    flavour = flavour_of(entries[0]) if entries else "other"
    return Listing(tuple(entries), flavour, time.monotonic() - began)
