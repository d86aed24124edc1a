"""Ollama's endpoints that change which models there are: /api/pull with its progress, /api/delete and /api/copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from edgellm.catalog.entry import Entry
from edgellm.download.manifest import Manifest
from edgellm.errors import RequestError, Unsupported
from edgellm.runtime.standing import Standing
from edgellm.server.body import RequestBody
from edgellm.server.documented import NDJSON_TYPE, answer
from edgellm.server.library import Library, named
from edgellm.server.line_stream import LineStream
from edgellm.server.models import Models, plain_name
from edgellm.server.ollama_digest import digest_of
from edgellm.server.progress import Step, told

router = APIRouter(prefix="/api")


class NameBody(RequestBody):
    model: str = ""
    name: str = ""  # what older clients call it

    @property
    def given(self) -> str:
        """Raises RequestError where there is none."""
        found = self.model or self.name
        if not found.strip():
            raise RequestError("The body needs a 'model' field with the name of a model.")
        return found


class PullBody(NameBody):
    stream: bool | None = None


class CopyBody(RequestBody):
    source: str
    destination: str


@router.post("/pull", response_model=None, responses=answer(dict[str, Any], NDJSON_TYPE))
async def pull(body: PullBody, request: Request) -> Response:
    """Bring a model here. What has come of an interrupted pull is continued by the next one."""
    library, name, models = _library(request), body.given, request.app.state.models
    return LineStream(_pulled(library, name, models), only_last=body.stream is False)


@router.delete("/delete", response_model=None)
async def delete(body: NameBody, request: Request) -> Response:
    """Remove a model from this machine, out of memory first."""
    library, name = _library(request), body.given
    manifest = await asyncio.to_thread(library.find, name)
    models: Models = request.app.state.models
    for standing, _ in await models.loaded():
        if _is(standing, manifest, plain_name(name)):
            await models.unload(standing.info.name)
    await asyncio.to_thread(library.remove, manifest)
    models.changed()
    return Response()


@router.post("/copy", response_model=None)
async def copy(body: CopyBody, request: Request) -> Response:
    """Another name for a model: nothing is copied."""
    await asyncio.to_thread(_library(request).copy, body.source, body.destination)
    request.app.state.models.changed()
    return Response()


@router.post("/create", response_model=None)
@router.post("/push", response_model=None)
async def refused() -> Response:
    raise Unsupported("Models are neither made nor published here. Pull one, or start the server with -m and a file.")


def _is(standing: Standing, manifest: Manifest, name: str) -> bool:
    """Whether a model in memory is the one that `manifest`, or just `name`, tells of."""
    if standing.located is not None:
        return str(standing.located.path) in {str(manifest.path), *(held.path for held in manifest.files)}
    names = {known.lower() for known in (standing.info.name, *standing.aliases)}
    return not names.isdisjoint((name.lower(), manifest.reference.lower()))


def _library(request: Request) -> Library:
    library: Library | None = request.app.state.library
    if library is None:
        raise Unsupported("This server keeps the models that it has. Use `edgellm pull`, `rm` and `alias`.")
    return library


async def _pulled(library: Library, name: str, models: Models) -> AsyncIterator[bytes]:
    """Lines of progress; the last one says "success". Raises what `Library.pull` raises."""
    library.admit()
    try:
        digest = await asyncio.to_thread(_digest, name)
        begun = False
        async with aclosing(told(lambda report: library.pull(name, report))) as steps:
            async for step in steps:
                if not begun:
                    yield _line({"status": "pulling manifest"})
                begun = True
                yield _line(_shaped(step, digest))
        models.changed()
        yield _line({"status": "success"})
    finally:
        library.leave()


def _digest(name: str) -> str:
    """By which clients tell one progress bar from another: the file's sum, or its name's where none is known."""
    target = named(name)
    known = target.sha256 if isinstance(target, Entry) else ""
    return f"sha256:{known or digest_of(str(target))}"


def _shaped(step: Step, digest: str) -> dict[str, Any]:
    counts = {"digest": digest, "total": step.total, "completed": step.done} if step.total else {}
    return {"status": step.label, **counts}


def _line(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"
