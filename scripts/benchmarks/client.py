"""Asks any OpenAI-compatible server as its users do, and notes when the answer came."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence as Seq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks.prompts import Case

_PATIENCE_S = 600


class Refused(Exception):
    """A server did not answer as it should; says what it answered instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """When one answer came, in seconds from sending the question. Tokens are as the server counted them.

    `ttft_s` is the time to the first text; `decode_tps` the tokens a second after it, None if all came at once.
    """

    case: str
    kind: str
    ttft_s: float
    decode_tps: float | None
    total_s: float
    prompt_tokens: int
    completion_tokens: int


def ask(port: int, case: Case) -> Answer:
    """Stream one greedy answer. Raises Refused."""
    body = {
        "messages": [{"role": "user", "content": case.text}],
        "max_tokens": case.max_tokens,
        "temperature": 0,
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        start = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise Refused(f"status {response.status} for {case.id}: {response.read()[:400]!r}")
        return timed(case, chunks(response), start, time.perf_counter)
    finally:
        connection.close()


def ask_all(port: int, cases: Seq[Case], concurrency: int) -> tuple[list[Answer], float]:
    """Every case, `concurrency` at a time; the answers and the seconds it all took. Raises Refused."""
    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        answers = list(pool.map(lambda case: ask(port, case), cases))
    return answers, time.perf_counter() - start


def chunks(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event, up to the end mark."""
    for line in lines:
        field, _, value = line.strip().partition(b":")
        if field != b"data":
            continue
        if value.strip() == b"[DONE]":
            return
        yield json.loads(value)


def timed(case: Case, chunks: Iterable[dict[str, Any]], start: float, clock: Callable[[], float]) -> Answer:
    """Note the `clock` at each piece of text. Raises Refused if the stream holds an error or no count of tokens."""
    first = last = None
    usage: dict[str, int] = {}
    for chunk in chunks:
        if "error" in chunk:
            raise Refused(f"error for {case.id}: {chunk['error']}")
        if has_text(chunk):
            last = clock()
            first = last if first is None else first
        usage = chunk.get("usage") or usage
    end = clock()
    if "completion_tokens" not in usage:
        raise Refused(f"no count of tokens for {case.id}: this server does not honour stream_options.include_usage")
    tokens = usage["completion_tokens"]
    span = last - first if first is not None and last is not None else 0.0
    return Answer(
        case.id,
        case.kind,
        (end if first is None else first) - start,
        (tokens - 1) / span if span > 0 and tokens > 1 else None,
        end - start,
        usage.get("prompt_tokens", 0),
        tokens,
    )


def has_text(chunk: dict[str, Any]) -> bool:
    """Whether the chunk brings words, of answer or reasoning."""
    deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or []]
    return any(delta.get("content") or delta.get("reasoning_content") for delta in deltas)
