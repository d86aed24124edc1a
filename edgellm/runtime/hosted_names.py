"""`hint`: what to do about the names of models that only their makers run, which many clients ask for unasked."""

from __future__ import annotations

import re

_HOSTED = re.compile(r"(claude|gpt|chatgpt|gemini|grok|o[1-9])([-.\d]|$)", re.IGNORECASE)
_OPEN = re.compile(r"gpt-(oss|2|j|neo)", re.IGNORECASE)


def hint(name: str) -> str:
    """A sentence to add where `name` was not found; "" for other names."""
    if not _HOSTED.match(name) or _OPEN.match(name):
        return ""
    shown = name[:100]
    return (
        f" {shown} runs at its maker's only; `edgellm alias {shown} MODEL` lets a model of yours answer to that name."
    )
