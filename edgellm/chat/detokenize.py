"""`Detokenizer`: token ids to text as they come, in whole characters only."""

from __future__ import annotations

import codecs
from collections.abc import Callable

_UTF8 = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """The texts of `push` and `flush` joined are the bytes of all tokens joined, decoded with errors="replace".

    `piece` gives a token's bytes (b"" for what has no text).
    """

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self.piece = piece
        self._decode = _UTF8("replace").decode

    def push(self, token: int) -> str:
        """The characters that `token` completes; "" while one is under way."""
        return self._decode(self.piece(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD where a character was never completed. Ready for another text after it."""
        return self._decode(b"", True)
