"""Server-sent chunks built from prepared pieces: per token only the text itself is encoded."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

import edgellm
from edgellm.server.tally import Tally

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


def heading(prefix: str, kind: str, model: str) -> dict[str, Any]:
    """What every body and chunk of one reply begins with; `created` in Unix seconds."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": f"edgellm-{edgellm.__version__}",
    }


class ChunkWriter:
    """Frames the choices of one streamed reply; the last chunk carries timings, warnings, and usage if asked for."""

    def __init__(self, opening: dict[str, Any], tally: Tally, include_usage: bool) -> None:
        self._open = b"data: " + encode(opening)[:-1] + b',"choices":['
        self._close = b'],"usage":null' if include_usage else b"]"
        self._end = self._close + b"}\n\n"
        self._tally = tally
        self._include_usage = include_usage

    def piece(self, choice: bytes) -> bytes:
        return self._open + choice + self._end

    def progress(self, choice: bytes, told: dict[str, Any]) -> bytes:
        """A chunk that says how far the prompt is."""
        return b'%b%b%b,"prompt_progress":%b}\n\n' % (self._open, choice, self._close, encode(told))

    def final_piece(self, choice: bytes) -> bytes:
        """The finishing chunk of a choice."""
        if self._include_usage or not self._tally.complete:
            return self.piece(choice)
        return b"%b%b%b,%b\n\n" % (self._open, choice, self._close, self._last_words())

    def end(self) -> bytes:
        if not self._include_usage:
            return DONE
        return self._open + b'],"usage":%b,%b\n\n' % (encode(self._tally.usage()), self._last_words()) + DONE

    def _last_words(self) -> bytes:
        """Timings and any warnings, and the end of the object that they are in."""
        return encode({"timings": self._tally.timings(), **self._tally.warnings()})[1:]
