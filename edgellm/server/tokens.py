"""Texts to tokens and back, and what is known of a model: at llama-server's addresses, with vLLM's fields too."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

import edgellm
from edgellm.errors import RequestError, Unsupported
from edgellm.model import Model
from edgellm.request import Conversation, Prompt
from edgellm.runtime.shown import shown
from edgellm.server.body import RequestBody
from edgellm.server.documented import answer
from edgellm.server.models import Models, standing_of
from edgellm.server.openai_chat import MessageBody
from edgellm.server.openai_options import Count
from edgellm.server.openai_tools import ToolBody

router = APIRouter()
_MOST = 1 << 20


class RenderBody(RequestBody):
    """A conversation as the model's template writes it."""

    model: str | None = None
    messages: Annotated[list[MessageBody], Field(min_length=1)]
    tools: list[ToolBody] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None

    async def tokens(self, model: Model) -> list[int]:
        conversation = Conversation(
            tuple(message.message() for message in self.messages), bool(self.continue_final_message)
        )
        tools = tuple(tool.function.tool() for tool in self.tools or ())
        return await model.tokenize(conversation, self.chat_template_kwargs or {}, tools)


class TokenizeBody(RenderBody):
    """`content` is llama-server's name for a text, and `prompt` vLLM's; they differ in what goes around it."""

    messages: list[MessageBody] = Field(default=[])
    content: str | None = None
    prompt: str | None = None
    add_special: bool = False
    add_special_tokens: bool = True
    parse_special: bool = True
    with_pieces: bool = False

    async def tokens(self, model: Model) -> list[int]:
        text = self.prompt if self.content is None else self.content
        if text is None and not self.messages:
            raise RequestError("The body needs a 'content' field with the text, or 'messages'.")
        if text is None:
            return await super().tokens(model)
        if not self.parse_special:
            raise Unsupported("parse_special false is not supported: control tokens in the text are read as such.")
        bare = not (self.add_special_tokens if self.content is None else self.add_special)
        return await model.tokenize(Prompt(text, bare)) if text else []


class DetokenizeBody(RequestBody):
    model: str | None = None
    tokens: Annotated[list[Count], Field(max_length=_MOST)]


class Tokens(BaseModel):
    """Ids, or objects of `id` and `piece` (a text, or bytes that are none) where pieces were asked for."""

    tokens: list[Any]
    count: int
    max_model_len: int


class Detokenized(BaseModel):
    content: str
    prompt: str


class Rendered(BaseModel):
    prompt: str


class Counted(BaseModel):
    input_tokens: int


class Slot(BaseModel):
    """One of the answers that are written at once; which request is in which is not told."""

    id: int
    n_ctx: int
    is_processing: bool


@router.post("/tokenize", response_model=None, responses=answer(Tokens))
async def tokenize(body: TokenizeBody, request: Request) -> Response:
    model = await _model(body.model, request)
    ids = await body.tokens(model)
    told: list[Any] = ids
    if body.with_pieces:
        pieces = await model.pieces(ids)
        told = [{"id": id, "piece": _piece(piece)} for id, piece in zip(ids, pieces, strict=True)]
    return _json({"tokens": told, "count": len(ids), "max_model_len": model.info.context_length})


@router.post("/detokenize", response_model=None, responses=answer(Detokenized))
async def detokenize(body: DetokenizeBody, request: Request) -> Response:
    text = await _text(await _model(body.model, request), body.tokens)
    return _json({"content": text, "prompt": text})


@router.post("/apply-template", response_model=None, responses=answer(Rendered))
async def apply_template(body: RenderBody, request: Request) -> Response:
    """The very text that would be computed, from its tokens."""
    model = await _model(body.model, request)
    return _json({"prompt": await _text(model, await body.tokens(model))})


@router.post("/v1/chat/completions/input_tokens", response_model=None, responses=answer(Counted))
async def count(body: RenderBody, request: Request) -> Response:
    """How many tokens a conversation has, by the model's own template."""
    return _json({"input_tokens": len(await body.tokens(await _model(body.model, request)))})


@router.get("/props", response_model=None, responses=answer())
async def props(request: Request, model: str = "") -> Response:
    """What is known of a model without loading it; its context where it is loaded."""
    models: Models = request.app.state.models
    info = (await models.get(model)).info
    located = (await standing_of(models, info.name)).located
    template = (await asyncio.to_thread(shown, located)).template if located is not None else ""
    sampling = msgspec.to_builtins(info.sampling)
    return _json(
        {
            "default_generation_settings": {"n_ctx": info.context_length, "params": sampling},
            "total_slots": info.parallel,
            "model_alias": info.name,
            "model_path": located.path.name if located is not None else "",
            "chat_template": template,
            "modalities": {"vision": False, "audio": False},
            "build_info": f"edgellm {edgellm.__version__}",
        }
    )


@router.get("/slots", response_model=None, responses=answer(list[Slot]))
async def slots(request: Request, model: str = "") -> Response:
    """As many as the model writes answers at once; none where it is not loaded."""
    models: Models = request.app.state.models
    asked = await models.get(model)
    info, status = asked.info, await asked.status()
    each = [{"id": i, "n_ctx": info.context_length, "is_processing": i < status.running} for i in range(info.parallel)]
    return _json(each)


async def _model(name: str | None, request: Request) -> Model:
    models: Models = request.app.state.models
    return await models.get(name or "")


async def _text(model: Model, ids: list[int]) -> str:
    return b"".join(await model.pieces(ids)).decode("utf-8", "replace")


def _piece(data: bytes) -> str | list[int]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
