"""A `Model` behind an OpenAI-compatible server: edgellm's own, llama-server, vLLM, Ollama or any other."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from edgellm.errors import EdgeLLMError, ModelNotFound, Unsupported
from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.remote.clock import Clock, Patience
from edgellm.remote.flavour import Flavour, flavour_of, info_of, named, shown_as
from edgellm.remote.listing import Entry, entries_of, headers_of, is_here, root_of
from edgellm.remote.refusal import KEY_ADVICE, refusal, without_key
from edgellm.remote.reply import Reply
from edgellm.remote.request_body import body_of, messages_of, path_of, tools_of
from edgellm.remote.trouble import told
from edgellm.request import ChatRequest, Conversation, Infill, Input, TokenIds

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "OPENAI_API_KEY"
"""Where other programs look for a key too."""
USUAL = Patience()
_IDLE = 20
_LISTING_S = 10.0
"""How long a list of models may take to come, once there is a connection."""


def key_of(environ: Mapping[str, str] = os.environ, variable: str = KEY_VARIABLE) -> str:
    """The key that the environment has; "" if none."""
    return environ.get(variable, "")


class OpenAIServer:
    """`url` with or without `/v1` at its end; `name` is the server's own name of the model, else its first is taken.

    `api_key` goes to this server alone, and into no message. Messages name the server as it is `called`, and give
    `key_advice` where it does not take the key. With `only_listed` a model that it does not list is not asked for: some
    servers answer to every name with the model they have. Belongs to the event loop that first uses it. Timings are the
    server's own where it tells them, else those seen from here.
    """

    def __init__(
        self,
        url: str,
        name: str = "",
        api_key: str = "",
        patience: Patience = USUAL,
        *,
        called: str = "",
        key_advice: str = KEY_ADVICE,
        only_listed: bool = False,
    ) -> None:
        self._root = root_of(url)
        self.url = self._root + "/v1"
        self.flavour: Flavour = "other"
        self._info = ModelInfo(name=name, backend="openai")
        self._key = api_key
        self._patience = patience
        self._called = called or self.url
        self._key_advice = key_advice
        self._only_listed = only_listed
        self._client: httpx.AsyncClient | None = None
        self._known = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        """Ask which models there are. Raises Unavailable, ModelNotFound, KeyRefused, RequestError for no address."""
        if self._known:
            return
        entry = self._chosen(await self._entries())
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
            response = await self._sent("GET", f"{self._root}/health")
            return response.is_success if response.status_code != 404 else bool(await self._entries())
        except EdgeLLMError:
            return False

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        await self.start()
        body = body_of(request, self._info.name, self.flavour)
        reply = Reply(time.perf_counter(), request.n)
        clock = Clock(self._patience, request.deadline_s, self._called)
        try:
            async with aclosing(self._lines(path_of(request.input), body, clock)) as lines:
                async for line in lines:
                    events = reply.events(line)
                    clock.heard(events)
                    for event in events:
                        yield event
                    if reply.done:
                        break
            last = reply.finished()
        except EdgeLLMError as error:
            error.args = (without_key(str(error), self._key),)
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
        response = await self._sent("GET", f"{self._root}/health")
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

            timeout = httpx.Timeout(None, connect=self._patience.connect_s)  # the rest is the clock's
            # A proxy that leads out of this network does not lead back to this machine.
            self._client = httpx.AsyncClient(
                headers=headers_of(self._key),
                timeout=timeout,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=_IDLE),  # queues are the server's
                trust_env=not is_here(self.url),
            )
        return self._client

    async def _sent(
        self, method: str, url: str, body: dict[str, Any] | None = None, patience: Patience | None = None
    ) -> httpx.Response:
        """The whole answer to a small question."""
        client = self._http()
        with told(self._called, self.url):
            asked = client.request(method, url, json=body)
            return await Clock(patience or self._patience, None, self._called).bounded(asked)

    async def _entries(self) -> list[Entry]:
        patience = Patience(first_s=self._patience.connect_s + _LISTING_S)
        response = await self._sent("GET", f"{self.url}/models", patience=patience)
        if response.status_code in (404, 405) and self._info.name:
            return []  # a server without a list may have the model all the same
        if not response.is_success:
            raise self._refused(response, response.text)
        return entries_of(response.text, self._called)

    def _chosen(self, entries: list[Entry]) -> Mapping[str, Any]:
        """The entry of the model that was named; a name that is not listed may be known to the server all the same."""
        wanted = self._info.name
        if not entries and not wanted:
            raise ModelNotFound(f"{self._called} serves no model. Load one there.")
        if not wanted:
            return entries[0]
        owner = entries[0].get("owned_by") if entries else ""
        found = named(entries, wanted)
        if found is None and entries and self._only_listed and flavour_of(entries[0]) != "edgellm":
            names = ", ".join(shown_as(entry["id"]) for entry in entries[:20])
            raise ModelNotFound(f"{self._called} has no model {wanted[:200]!r}. Name one of its own: {names}.")
        return found or {"id": wanted, "owned_by": owner}

    async def _rendered(self, input: Input, template_args: dict[str, Any] | None, tools: tuple[Tool, ...]) -> str:
        """llama-server tells the tokens of text only, and the text of messages elsewhere."""
        if not isinstance(input, Conversation):
            return cast(str, getattr(input, "text", ""))
        asked = {"messages": messages_of(input), "chat_template_kwargs": template_args or {}, "tools": tools_of(tools)}
        return str((await self._asked("/apply-template", asked)).get("prompt", ""))

    async def _asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._sent("POST", f"{self._root}{path}", body)
        if response.status_code in (404, 405, 501) and "model" not in response.text:
            raise Unsupported(f"{self._called} has no {path}: it does not tell its tokens")
        if not response.is_success:
            raise self._refused(response, response.text)
        with told(self._called, self.url):
            answer = response.json()
        return answer if isinstance(answer, dict) else {}

    async def _lines(self, path: str, body: dict[str, Any], clock: Clock) -> AsyncGenerator[str, None]:
        """The lines of the answer, each in its time."""
        async with self._post(path, body, clock) as response:
            lines = response.aiter_lines()
            while True:
                with told(self._called, self.url, answering=True):
                    line = await clock.bounded(anext(lines, None))
                if line is None:
                    return
                yield line

    @asynccontextmanager
    async def _post(self, path: str, body: dict[str, Any], clock: Clock) -> AsyncIterator[httpx.Response]:
        client = self._http()
        with told(self._called, self.url):
            request = client.build_request("POST", f"{self.url}{path}", json=body)
            response = await clock.bounded(client.send(request, stream=True))
        try:
            if not response.is_success:
                with told(self._called, self.url):
                    text = (await clock.bounded(response.aread())).decode("utf-8", "replace")
                raise self._refused(response, text)
            yield response
        finally:
            await response.aclose()

    def _refused(self, response: httpx.Response, text: str) -> EdgeLLMError:
        retry_after = response.headers.get("retry-after")
        return refusal(self._called, response.status_code, without_key(text, self._key), retry_after, self._key_advice)


def _tokens(told: dict[str, Any]) -> list[int]:
    tokens = told.get("tokens")
    if not isinstance(tokens, list):
        raise Unsupported("the server answers /tokenize with something that is no list of tokens")
    return [token["id"] if isinstance(token, dict) else int(token) for token in tokens]
