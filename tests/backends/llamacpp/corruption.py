"""Damages copies of a GGUF file, the same way for the same seed; and, run as a program, loads some."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

LOADED, REFUSED = "loaded", "refused"
_ABSURD = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_SIZES = (b"block_count", b"head_count", b"head_count_kv", b"key_length", b"embedding_length", b"context_length")
_EPSILON = b"layer_norm_rms_epsilon"


def damaged(data: bytes, seed: int) -> bytes:
    """A copy with flipped bits, cut off, with absurd counts, or with absurd sizes, in turn."""
    chance, copy = random.Random(seed), bytearray(data)
    header = data.rfind(b".weight") + 64
    match seed % 5:
        case 0:
            for _ in range(chance.choice((1, 2, 8))):
                copy[chance.randrange(header)] ^= 1 << chance.randrange(8)
        case 1:
            del copy[chance.randrange(len(copy)) :]
        case 2:
            at = chance.choice((8, 16, chance.randrange(header)))
            copy[at : at + 8] = struct.pack("<Q", chance.choice(_ABSURD))
        case 3:
            name = chance.choice((*_SIZES, _EPSILON))
            at = data.find(name) + len(name) + 4
            copy[at : at + 4] = struct.pack("<I", chance.choice((0, 1, 3, 7, 1000, 2**31, 2**32 - 1)))
        case _:
            at = chance.randrange(header)
            copy[at : at + chance.randrange(64)] = chance.randbytes(chance.randrange(64))
    return bytes(copy)


def outcome(path: Path) -> str:
    """Load the file and use the model a little; LOADED, or REFUSED when one of our errors says why not."""
    from edgellm.backends.batch import Chunk
    from edgellm.backends.llamacpp import LlamaCppBackend
    from edgellm.config import ModelSettings
    from edgellm.errors import EdgeLLMError

    try:
        backend = LlamaCppBackend.load(path, ModelSettings(context=256, slots=2, threads=1))
    except EdgeLLMError:
        return REFUSED
    ids = backend.vocabulary.tokenize("a <|im_start|> \x00 ü", special=True, add_bos=True)
    for token in range(len(backend.vocabulary)):
        backend.vocabulary.piece(token, special=True)
    backend.decode([Chunk(0, 0, ids or [0])]).argmax(0)
    backend.close()
    return LOADED


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(outcome(Path(argument)), flush=True)
