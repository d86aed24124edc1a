"""Loading models and letting them go on demand, by llama-server's names for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from edgellm.server.body import RequestBody
from edgellm.server.documented import answer
from edgellm.server.models import Models

router = APIRouter(prefix="/models")


class ResidentBody(RequestBody):
    model: Annotated[str, Field(max_length=4096)]


class Success(BaseModel):
    success: bool = True


@router.post("/load", responses=answer(Success))
async def load(body: ResidentBody, request: Request) -> Success:
    """Answers once the model is in memory; there it stays as long as one that was asked something."""
    models: Models = request.app.state.models
    await models.load(body.model)
    return Success()


@router.post("/unload", responses=answer(Success))
async def unload(body: ResidentBody, request: Request) -> Success:
    """Answers once the model is out of memory, which waits for its requests."""
    models: Models = request.app.state.models
    await models.unload(body.model)
    return Success()
