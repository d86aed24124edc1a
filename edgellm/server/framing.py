"""`Framing`: what a dialect's stream looks like on the wire besides its events."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edgellm.server.error_status import error_body

SSE = b"text/event-stream; charset=utf-8"


class Framing(msgspec.Struct, frozen=True):
    """`error` writes what a failure in the midst of a stream looks like, of its code and message.

    `ping` fills silence; b"" where the dialect has nothing to say then.
    """

    media_type: bytes
    ping: bytes
    error: Callable[[str, str], bytes]


def _openai_failure(code: str, message: str) -> bytes:
    return b"data: " + error_body(code, message) + b"\n\n"


OPENAI = Framing(SSE, b": ping\n\n", _openai_failure)
