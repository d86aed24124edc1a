"""A `Model` behind an OpenAI-compatible server: edgellm's own, llama-server, vLLM, Ollama or any other."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec

from edgellm.errors import DeadlineExceeded, EdgeLLMError, ModelNotFound, RequestError, Unavailable, Unsupported
from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.remote.flavour import Flavour, flavour_of, info_of, names_of
from edgellm.remote.refusal import refusal
from edgellm.remote.reply import Reply
from edgellm.remote.request_body import body_of, messages_of, path_of, tools_of
from edgellm.request import ChatRequest, Conversation, Infill, Input, TokenIds

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "OPENAI_API_KEY"
"""Where other programs look for a key too."""


class Patience(msgspec.Struct, frozen=True):
    """Seconds: for a connection, for the first words of an answer (prompts may take minutes), between two pieces of
    it, and for all of it (None: without end)."""

    connect_s: float = 10.0
    first_s: float = 600.0
    silence_s: float = 600.0
    total_s: float | None = None


USUAL = Patience()


def key_of(environ: Mapping[str, str] = os.environ, variable: str = KEY_VARIABLE) -> str:
    """The key that the environment has; "" if none."""
    return environ.get(variable, "")


class OpenAIServer:
    """`url` with or without `/v1` at its end; `name` is the server's own name of the model, else its first is taken.

    `api_key` goes to this server alone. Belongs to the event loop that first uses it. Timings are the server's own
    where it tells them, else those seen from here.
    """

    def __init__(self, url: str, name: str = "", api_key: str = "", patience: Patience = USUAL) -> None:
        self._root = url.rstrip("/").removesuffix("/v1")
        self.url = self._root + "/v1"
        self.flavour: Flavour = "other"
        self._info = ModelInfo(name=name, backend="openai")
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._patience = patience
        self._client: httpx.AsyncClient | None = None
        self._known = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        """Ask which models there are. Raises Unavailable, ModelNotFound, RequestError for a wrong key or address."""
        if self._known:
            return
        try:
            entry = self._chosen(await self._entries())
        except BaseException:
            await self.aclose()
            raise
        self.flavour = flavour_of(entry)
        self._info = info_of(entry, "" if self.flavour != "other" else "openai")
        self._known = True

    async def load(self) -> None:
        """Have an edgellm server load the model now, and learn what is known of it then; nothing more elsewhere."""
        await self.start()
        if self.flavour == "edgellm":
            await self._asked("/models/load", {"model": self._info.name})
            self._known = False
            await self.start()

    async def models(self) -> list[ModelInfo]:
        """All models that the server lists. Raises as `start`."""
        return [info_of(entry) for entry in await self._entries()]

    async def health(self) -> bool:
        """Whether the server answers and is ready; servers without a word for that are if they list their models."""
        try:
            with _told(self.url):
                response = await self._http().get(f"{self._root}/health")
            return response.is_success if response.status_code != 404 else bool(await self._entries())
        except EdgeLLMError:
            return False

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        await self.start()
        body = body_of(request, self._info.name, self.flavour)
        reply = Reply(time.perf_counter(), request.n)
        lines = self._lines(path_of(request.input), body, request.deadline_s)
        try:
            async with aclosing(lines):
                async for line in lines:
                    for event in reply.events(line):
                        yield event
                    if reply.done:
                        break
            last = reply.finished()
        except EdgeLLMError as error:
            if not reply.started:
                raise
            last = reply.failed(error)
        for event in last:
            yield event

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        """By the server's /tokenize, which edgellm, vLLM and llama-server have. Raises Unsupported without one."""
        await self.start()
        if isinstance(input, TokenIds):
            return list(input.ids)
        if isinstance(input, Infill):
            raise Unsupported("a server does not tell the tokens of a text with a hole in it")
        asked: dict[str, Any] = {"model": self._info.name}
        if isinstance(input, Conversation) and self.flavour != "llama-server":
            asked |= {"messages": messages_of(input)} | ({"tools": tools_of(tools)} if tools else {})
            asked |= {"chat_template_kwargs": template_args} if template_args else {}
            asked |= {"continue_final_message": True, "add_generation_prompt": False} if input.continue_last else {}
        else:
            asked |= {"add_special": True}
            asked["prompt"] = asked["content"] = await self._rendered(input, template_args, tools)
        return _tokens(await self._asked("/tokenize", asked))

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """Raises Unsupported: servers join the pieces into one text."""
        raise Unsupported("a server does not tell the pieces of a text one by one")

    async def status(self) -> ModelStatus:
        """What edgellm's own /health tells of the model; all zeros for other servers."""
        if self.flavour != "edgellm":
            return ModelStatus()
        with _told(self.url):
            response = await self._http().get(f"{self._root}/health")
        try:
            told = response.json()["models"][self._info.name]
            return msgspec.convert(told, ModelStatus, strict=False)
        except (ValueError, KeyError, TypeError):
            return ModelStatus()

    async def aclose(self) -> None:
        client, self._client = self._client, None
        self._known = False
        if client is not None:
            await client.aclose()

    # -- asking ---------------------------------------------------------------------------------------------------

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            timeout = httpx.Timeout(self._patience.silence_s, connect=self._patience.connect_s)
            # A proxy that leads out of this network does not lead back to this machine.
            self._client = httpx.AsyncClient(headers=self._headers, timeout=timeout, trust_env=not is_here(self.url))
        return self._client

    async def _entries(self) -> list[dict[str, Any]]:
        with _told(self.url):
            response = await self._http().get(f"{self.url}/models")
        if response.is_error:
            raise refusal(self.url, response.status_code, response.text)
        try:
            entries = [dict(entry) for entry in response.json()["data"]]
            if not all(isinstance(entry["id"], str) for entry in entries):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"{self.url} does not answer as an OpenAI-compatible server. Check the URL.") from None
        return entries

    def _chosen(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """The entry of the model that was named; a name that is not listed may be known to the server all the same."""
        wanted = self._info.name
        if not entries and not wanted:
            raise ModelNotFound(f"{self.url} serves no model. Load one there.")
        if not wanted:
            return entries[0]
        named = next((entry for entry in entries if wanted in names_of(entry)), None)
        return named or {"id": wanted, "owned_by": entries[0].get("owned_by") if entries else ""}

    async def _rendered(self, input: Input, template_args: dict[str, Any] | None, tools: tuple[Tool, ...]) -> str:
        """llama-server tells the tokens of text only, and the text of messages elsewhere."""
        if not isinstance(input, Conversation):
            return cast(str, getattr(input, "text", ""))
        asked = {"messages": messages_of(input), "chat_template_kwargs": template_args or {}, "tools": tools_of(tools)}
        return str((await self._asked("/apply-template", asked)).get("prompt", ""))

    async def _asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with _told(self.url):
            response = await self._http().post(f"{self._root}{path}", json=body)
        if response.status_code in (404, 405, 501) and "model" not in response.text:
            raise Unsupported(f"{self._root} has no {path}: it does not tell its tokens")
        if response.is_error:
            raise refusal(self.url, response.status_code, response.text)
        told = response.json()
        return told if isinstance(told, dict) else {}

    async def _lines(self, path: str, body: dict[str, Any], deadline_s: float | None) -> AsyncGenerator[str, None]:
        """The lines of the answer, each in its time."""
        clock = _Clock(self._patience, deadline_s)
        async with self._post(path, body, clock) as response:
            lines = response.aiter_lines()
            while True:
                with _told(self.url):
                    line = await clock.bounded(anext(lines, None))
                if line is None:
                    return
                yield line

    @asynccontextmanager
    async def _post(self, path: str, body: dict[str, Any], clock: _Clock) -> AsyncIterator[httpx.Response]:
        client = self._http()
        with _told(self.url):
            request = client.build_request("POST", f"{self.url}{path}", json=body)
            response = await clock.bounded(client.send(request, stream=True))
        try:
            if response.is_error:
                text = (await response.aread()).decode("utf-8", "replace")
                raise refusal(self.url, response.status_code, text)
            yield response
        finally:
            await response.aclose()


class _Clock:
    """Bounds each wait of one request: the first, those between pieces, and all together."""

    def __init__(self, patience: Patience, deadline_s: float | None) -> None:
        self._patience = patience
        self._deadline_s = deadline_s
        self._began = time.monotonic()
        self._first = True

    async def bounded(self, work: Any) -> Any:
        waits = [self._patience.first_s if self._first else self._patience.silence_s]
        spent = time.monotonic() - self._began
        waits += [limit - spent for limit in (self._patience.total_s, self._deadline_s) if limit is not None]
        try:
            async with asyncio.timeout(max(0.001, min(waits))):
                found = await work
        except TimeoutError:
            raise self._late() from None
        self._first = self._first and not isinstance(found, str)  # the head of the answer is none of its words
        return found

    def _late(self) -> EdgeLLMError:
        spent = time.monotonic() - self._began
        if self._deadline_s is not None and spent >= self._deadline_s:
            return DeadlineExceeded(f"The answer was not complete within {self._deadline_s:g} s. Allow it more time.")
        if self._patience.total_s is not None and spent >= self._patience.total_s:
            return Unavailable(f"The server took longer than {self._patience.total_s:g} s for its answer.")
        return Unavailable(f"The server has said nothing for {spent:.0f} s. Check that it still works.")


def is_here(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = (urlsplit(url).hostname or "").lower()
    return host in ("localhost", "::1") or host.startswith("127.")


def _tokens(told: dict[str, Any]) -> list[int]:
    tokens = told.get("tokens")
    if not isinstance(tokens, list):
        raise Unsupported("the server answers /tokenize with something that is no list of tokens")
    return [token["id"] if isinstance(token, dict) else int(token) for token in tokens]


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What goes wrong on the way, in our words."""
    import httpx

    try:
        yield
    except httpx.TimeoutException:
        raise Unavailable(f"{url} does not answer. Check that the server runs there, or try again later.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise RequestError(f"{url} is no address of a server: {error}. Write it as http://HOST:PORT.") from None
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"cannot reach {url}: {reason}. Check that the server runs there.") from None
    except json.JSONDecodeError:
        raise Unavailable(f"{url} answered with something that is not JSON. Check the URL.") from None
