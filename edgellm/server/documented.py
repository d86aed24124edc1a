"""`answer`: what a route says of its reply in the OpenAPI document; errors are added there for every route alike."""

from __future__ import annotations

from typing import Any

SSE_TYPE = "text/event-stream"
NDJSON_TYPE = "application/x-ndjson"
TEXT_TYPE = "text/plain"


def answer(schema: Any = None, stream: str = "", description: str = "The answer.") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose JSON body is `schema` (a pydantic model; None: any object).

    `stream` is the media type that comes instead where the body asks for a stream, or always where it cannot choose.
    """
    reply: dict[str, Any] = {"description": description}
    if schema is not None:
        reply["model"] = schema
    if stream:
        reply["content"] = {stream: {"schema": {"type": "string"}}}
    elif schema is None:
        reply["content"] = {"application/json": {"schema": {"type": "object"}}}
    return {200: reply}
