"""POST /v1/rerank: how well documents answer a query, in the words of Jina and Cohere, and in those of TEI."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from edgellm.embedder import Ranking
from edgellm.errors import RequestError
from edgellm.server.body import Body, RequestBody
from edgellm.server.computed import Computed
from edgellm.server.documented import answer
from edgellm.server.models import Models
from edgellm.server.openai_embeddings import check_count, count, usage
from edgellm.server.truncation import Dropped, is_asked

_OTHER_PATHS = ("/rerank", "/v2/rerank", "/reranking", "/v1/reranking")
router = APIRouter()


class Document(Body):
    text: str


class RerankBody(RequestBody):
    query: str
    model: str | None = None
    documents: list[str | Document] | None = None
    texts: list[str] | None = None  # TEI's word for documents; its replies are shaped otherwise
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = None
    return_text: bool | None = None
    raw_scores: bool | None = None
    truncate: bool | None = None

    def given(self) -> list[str]:
        """The documents' texts. Raises RequestError for none, too many, or both fields."""
        if (self.documents is None) == (self.texts is None):
            raise RequestError("Give the documents to rank as 'documents': a list of texts.")
        found = [each if isinstance(each, str) else each.text for each in self.documents or self.texts or ()]
        check_count(len(found), "documents" if self.texts is None else "texts")
        return found


class _Result(BaseModel):
    index: int
    relevance_score: float
    document: Document | None = None


class RerankReply(BaseModel):
    id: str
    object: str
    model: str
    results: list[_Result]
    usage: dict[str, int]


class _TeiResult(BaseModel):
    index: int
    score: float
    text: str | None = None


async def rerank(body: RerankBody, request: Request) -> Response:
    models: Models = request.app.state.models
    documents, truncate = body.given(), bool(body.truncate) or is_asked(request)

    async def work() -> tuple[bytes, Mapping[str, str]]:
        async with models.embedder(body.model or "") as embedder:
            found = await embedder.rerank(body.query, documents, raw=bool(body.raw_scores), truncate=truncate)
        count(found.tokens)
        reply = _tei(body, found, documents) if body.texts is not None else _reply(body, found, documents)
        named = reply if isinstance(reply, list) else reply | {"model": embedder.info.name}
        return msgspec.json.encode(named), Dropped(tokens=found.dropped).headers()

    return Computed(work)


router.add_api_route(
    "/v1/rerank", rerank, methods=["POST"], response_model=None, responses=answer(RerankReply | list[_TeiResult])
)
for _path in _OTHER_PATHS:
    router.add_api_route(_path, rerank, methods=["POST"], response_model=None, include_in_schema=False)


def _best(body: RerankBody, found: Ranking) -> list[tuple[int, float]]:
    """Index and score, the best first; of equal ones the earlier."""
    order = sorted(enumerate(found.scores.tolist()), key=lambda each: -each[1])
    return order[: body.top_n]


def _reply(body: RerankBody, found: Ranking, documents: list[str]) -> dict[str, Any]:
    results = [
        {"index": index, "relevance_score": score}
        | ({"document": {"text": documents[index]}} if body.return_documents else {})
        for index, score in _best(body, found)
    ]
    name = f"rerank-{secrets.token_hex(12)}"
    return {"id": name, "object": "list", "results": results, "usage": usage(found.tokens)}


def _tei(body: RerankBody, found: Ranking, texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"index": index, "score": score} | ({"text": texts[index]} if body.return_text else {})
        for index, score in _best(body, found)
    ]
