"""Server-sent chunks built from prepared pieces: per token only the text itself is encoded."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from edgellm.server.tally import Tally

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


def heading(prefix: str, kind: str, model: str) -> dict[str, Any]:
    """What every body and chunk of one reply begins with; `created` in Unix seconds."""
    return {"id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}


class ChunkWriter:
    """Frames the choices of one streamed reply; the last chunk carries timings, and usage where that was asked for."""

    def __init__(self, opening: dict[str, Any], tally: Tally, include_usage: bool) -> None:
        self._open = b"data: " + encode(opening)[:-1] + b',"choices":['
        self._close = b'],"usage":null' if include_usage else b"]"
        self._end = self._close + b"}\n\n"
        self._tally = tally
        self._include_usage = include_usage

    def piece(self, choice: bytes) -> bytes:
        return self._open + choice + self._end

    def final_piece(self, choice: bytes) -> bytes:
        """The finishing chunk of a choice."""
        if self._include_usage or not self._tally.complete:
            return self.piece(choice)
        return b'%b%b%b,"timings":%b}\n\n' % (self._open, choice, self._close, encode(self._tally.timings()))

    def end(self) -> bytes:
        if not self._include_usage:
            return DONE
        counts = b'],"usage":%b,"timings":%b}\n\n' % (encode(self._tally.usage()), encode(self._tally.timings()))
        return self._open + counts + DONE
