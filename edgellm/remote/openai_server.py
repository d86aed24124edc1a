"""A `Model` behind an OpenAI-compatible server (llama-server, vLLM, Ollama, edgellm): chat completions, streamed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from edgellm.errors import ModelNotFound, RequestError, Unavailable, Unsupported
from edgellm.events import Event, Finished, FinishReason, Reasoning, Started, Text, Timings, Usage
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.remote.refusal import refusal, words
from edgellm.request import ChatRequest, Conversation, Input, SamplingParams

if TYPE_CHECKING:
    import httpx

_CONNECT_S, _SILENCE_S = 10.0, 600.0
"""How long to wait for a connection, and for the next bytes of an answer: prompts may take minutes."""

_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")


class OpenAIServer:
    """`url` with or without `/v1` at its end; `name` is the server's own name of the model, else its first is taken.

    Belongs to the event loop that first uses it. Timings are those seen from here.
    """

    def __init__(self, url: str, name: str = "", api_key: str = "") -> None:
        self.url = url.rstrip("/").removesuffix("/v1") + "/v1"
        self._info = ModelInfo(name=name, backend="openai")
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client: httpx.AsyncClient | None = None

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        """Ask which models there are. Raises Unavailable, ModelNotFound."""
        if self._client is not None:
            return
        import httpx

        timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        # A proxy that leads out of this network does not lead back to this machine.
        self._client = httpx.AsyncClient(headers=self._headers, timeout=timeout, trust_env=not _is_here(self.url))
        try:
            self._info = replace(self._info, name=await self._model_name(self._client))
        except BaseException:
            await self.aclose()
            raise

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        await self.start()
        body = _body(request, self._info.name)
        reply = _Reply(time.perf_counter())
        async with self._post(body) as response:
            async for line in response.aiter_lines():
                for event in reply.events(line):
                    yield event
                if reply.done:
                    break
        yield reply.finished()

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        raise Unsupported("a server that speaks OpenAI's dialect does not tell its tokens")

    async def status(self) -> ModelStatus:
        return ModelStatus()

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _model_name(self, client: httpx.AsyncClient) -> str:
        with _told(self.url):
            response = await client.get(f"{self.url}/models")
            if response.is_error:
                raise refusal(self.url, response.status_code, response.text)
            try:
                names = [str(model["id"]) for model in response.json()["data"]]
            except (ValueError, KeyError, TypeError):
                raise Unavailable(
                    f"{self.url} does not answer as an OpenAI-compatible server. Check the URL."
                ) from None
        wanted = self._info.name or next(iter(names), "")
        if not wanted:
            raise ModelNotFound(f"{self.url} serves no model. Load one there.")
        return wanted

    @asynccontextmanager
    async def _post(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        assert self._client is not None
        with _told(self.url):
            async with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                if response.is_error:
                    text = (await response.aread()).decode("utf-8", "replace")
                    raise refusal(self.url, response.status_code, text)
                yield response


class _Reply:
    """The lines of one answer to events."""

    def __init__(self, asked: float) -> None:
        self.done = False
        self._asked = asked
        self._first = self._last = 0.0
        self._reason: FinishReason = "stop"
        self._usage: dict[str, Any] = {}

    def events(self, line: str) -> list[Event]:
        if not line.startswith("data:"):
            return []
        data = line[5:].strip()
        if data == "[DONE]":
            self.done = True
            return []
        try:
            chunk = json.loads(data)
        except ValueError:
            raise Unavailable("the server broke off its answer with something that is not JSON") from None
        if error := chunk.get("error"):
            raise Unavailable(f"the server broke off its answer: {words(error)}")
        self._usage = chunk.get("usage") or self._usage
        return [event for choice in chunk.get("choices", ()) for event in self._choice(choice)]

    def _choice(self, choice: dict[str, Any]) -> list[Event]:
        delta = choice.get("delta") or {}
        if choice.get("finish_reason") in ("stop", "length", "tool_calls"):
            self._reason = choice["finish_reason"]
        text, reasoning = delta.get("content"), delta.get("reasoning_content") or delta.get("reasoning")
        if not text and not reasoning:
            return []
        self._last = time.perf_counter()
        events: list[Event] = []
        if not self._first:
            self._first = self._last
            events.append(Started(0, 0))
        return [*events, *([Reasoning(reasoning)] if reasoning else []), *([Text(text)] if text else [])]

    def finished(self) -> Finished:
        tokens, prompt = self._usage.get("completion_tokens", 0), self._usage.get("prompt_tokens", 0)
        cached = (self._usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        timings = Timings(
            cache_n=cached,
            prompt_n=prompt - cached,
            prompt_ms=1000 * max(0.0, self._first - self._asked),
            predicted_n=tokens,
            predicted_ms=1000 * (self._last - self._first),
        )
        return Finished(self._reason, Usage(prompt, tokens, cached), timings)


def _is_here(url: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    return host in ("localhost", "::1") or host.startswith("127.")


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


def _body(request: ChatRequest, name: str) -> dict[str, Any]:
    """The request as JSON. Raises Unsupported for what this dialect, or this module, cannot say."""
    if not isinstance(request.input, Conversation):
        raise Unsupported("a server that speaks OpenAI's dialect is asked in messages here")
    if request.tools or request.format or request.logprobs is not None or request.n != 1:
        raise Unsupported("tools, formats, log-probabilities and several answers cannot be asked of a server yet")
    body: dict[str, Any] = {
        "model": name,
        "messages": [{"role": message.role, "content": message.text} for message in request.input.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    neutral = SamplingParams(top_p=1.0)
    for key in _SAMPLING:
        value = getattr(request.sampling, key)
        if value != getattr(neutral, key) or key == "temperature":
            body[key] = value
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    return body
