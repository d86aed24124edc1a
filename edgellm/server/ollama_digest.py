"""Digests as Ollama has them: its command cuts pieces out of each, so there is always one of the full length."""

from __future__ import annotations

import hashlib

from edgellm.runtime.standing import Standing


def digest_of(text: str) -> str:
    """64 hex digits that stand for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def model_digest(standing: Standing) -> str:
    """The sum of the model's file where the catalog knows it, else one that changes with the file."""
    entry = standing.located.entry if standing.located is not None else None
    info = standing.info
    known = entry.sha256 if entry is not None else ""
    return known or digest_of(f"{info.name} {info.size_bytes} {info.created}")
