"""Sound bodies for every address that takes one, and mutators that make something malformed of them."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

TEXT = {"type": "text", "text": "hi"}
SCHEMA = {"type": "object", "properties": {"c": {"type": "integer"}}, "required": ["c"]}
FUNCTION = {"name": "b", "description": "d", "parameters": SCHEMA}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7, "stop": ["x"]}
TALK = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": [TEXT]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "b", "arguments": '{"c": 1}'}}],
    },
    {"role": "tool", "tool_call_id": "a", "content": "x"},
    {"role": "user", "content": "hi"},
]
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {
        **SAMPLING,
        "messages": TALK,
        "max_completion_tokens": 3,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"7": 1.5},
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "none",
        "stream_options": {"include_usage": True},
        "chat_template_kwargs": {"a": [1, {"b": None}]},
        "reasoning_effort": "low",
    },
    "/v1/completions": {
        **SAMPLING,
        "prompt": ["a", "b"],
        "max_tokens": 2,
        "best_of": 2,
        "echo": True,
        "guided_regex": "a+",
    },
    "/v1/responses": {
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "a", "name": "b", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "x"},
        ],
        "instructions": "s",
        "tools": [{"type": "function", **FUNCTION}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
        "reasoning": {"effort": "low"},
        "include": ["message.output_text.logprobs"],
        "max_output_tokens": 3,
        "truncation": "auto",
        "metadata": {"a": "b"},
        "temperature": 0.1,
    },
    "/v1/responses/input_tokens": {"input": "hi", "instructions": "s"},
    "/v1/messages": {
        "max_tokens": 3,
        "system": [TEXT],
        "messages": [
            {"role": "user", "content": [TEXT]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {"c": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [TEXT]}, TEXT]},
        ],
        "stop_sequences": ["x"],
        "temperature": 1,
        "top_k": 3,
        "tools": [{"name": "b", "input_schema": SCHEMA}],
        "tool_choice": {"type": "none"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "/v1/messages/count_tokens": {"system": "a", "messages": [{"role": "user", "content": [TEXT]}]},
    "/api/chat": {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "b", "arguments": {"c": 1}}}]},
            {"role": "tool", "content": "x", "tool_name": "b"},
        ],
        "options": {"temperature": 0.5, "top_k": 3, "seed": 7, "num_predict": 3, "num_ctx": 9, "stop": ["x"]},
        "format": SCHEMA,
        "keep_alive": "5m",
        "think": True,
        "stream": False,
    },
    "/api/generate": {"prompt": "hi", "options": {"min_p": 0.1, "num_predict": 3}, "raw": True, "stream": False},
    "/api/show": {"model": "fake"},
    "/completion": {**SAMPLING, "prompt": ["hi"], "n_predict": 2, "n_probs": 1, "return_tokens": True},
    "/infill": {
        "input_prefix": "a",
        "input_suffix": "b",
        "prompt": "c",
        "input_extra": [{"filename": "f", "text": "t"}],
        "n_predict": 2,
    },
    "/tokenize": {"content": "hi", "add_special": True, "with_pieces": True},
    "/detokenize": {"tokens": [65, 66]},
    "/apply-template": {"messages": TALK[:2], "chat_template_kwargs": {"a": 1}},
    "/v1/chat/completions/input_tokens": {"messages": TALK[:2], "model": "fake"},
    "/models/load": {"model": "fake"},
    "/models/unload": {"model": "fake"},
    "/v1/embeddings": {"input": ["a", "b"], "encoding_format": "float", "dimensions": 8},
    "/api/embed": {"input": ["a", "b"], "truncate": True, "options": {"num_ctx": 9}},
    "/api/embeddings": {"prompt": "a"},
    "/v1/rerank": {"query": "a", "documents": ["b", "c"], "top_n": 1},
    "/api/pull": {"model": "maker/nothing", "stream": False},
    "/api/copy": {"source": "maker/nothing", "destination": "mine"},
    "/api/delete": {"model": "maker/nothing"},
    "/api/create": {"model": "mine", "from": "other"},
    "/api/push": {"model": "mine"},
}
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, -0.0, 10**30, -(2**63), 2**64, 1e308, 1e-320),
    *("", " ", "é\u0000", "\ud800", "\U0010ffff", "\u202e", "auto", "null", "7", "x" * 5000, "../../etc/passwd"),
    *("{{ 7*7 }}", "{% for i in range(10**9) %}{% endfor %}", "<|im_start|>system", "%s%n", "'; DROP TABLE--"),
    *([], [[]], {}, {"type": "text"}, [None], [{}], {"a": {"b": []}}, {"": ""}, {"$ref": "#"}, [1, "a", None, {}]),
]

Mutator = Callable[[Any, random.Random], Any]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in `value` that is not too deep in it."""
    if len(path) > 40:
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def _spot(body: Any, rng: random.Random) -> tuple[Any, Any]:
    """What holds something, and under which key."""
    *above, key = rng.choice([place for place in places(body) if place])
    for step in above:
        body = body[step]
    return body, key


def exchange(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    holder[key] = copy.deepcopy(rng.choice(ODD))
    return body


def leave_out(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    del holder[key]
    return body


def repeat(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    holder[key] = [copy.deepcopy(holder[key]) for _ in range(rng.choice((2, 3, 40)))]
    return body


def deepen(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    for _ in range(rng.choice((1, 2, 30, 90))):
        holder[key] = rng.choice(([holder[key]], {"a": holder[key]}, {key: holder[key]}))
    return body


def swap(body: Any, rng: random.Random) -> Any:
    (one, first), (other, second) = _spot(body, rng), _spot(body, rng)
    before = copy.deepcopy(one[first])
    one[first] = copy.deepcopy(other[second])
    other[second] = before
    return body


def rename(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    if isinstance(holder, dict):
        value = holder.pop(key)
        holder[rng.choice((str(key).upper(), f" {key}", f"{key}\u0000", str(key)[:-1], "__proto__", "\ud83d"))] = value
    return body


def retype(body: Any, rng: random.Random) -> Any:
    holder, key = _spot(body, rng)
    value = holder[key]
    match value:
        case bool():
            holder[key] = rng.choice((int(value), str(value), [value]))
        case int() | float():
            holder[key] = rng.choice((str(value), -value, value * 10**12, bool(value), value + 0.5))
        case str():
            holder[key] = rng.choice((len(value), [value], {value: value}, value * 400, list(value)))
        case list():
            holder[key] = rng.choice((dict(enumerate(value)), value[0] if value else None, value[::-1], value * 20))
        case dict():
            holder[key] = rng.choice((list(value), list(value.items()), json.dumps(value), None))
    return body


STRUCTURAL: tuple[Mutator, ...] = (exchange, exchange, leave_out, repeat, deepen, swap, rename, retype)


def cut(text: bytes, rng: random.Random) -> bytes:
    return text[: rng.randrange(len(text))]


def flip(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text))
    return text[:at] + bytes([text[at] ^ (1 << rng.randrange(8))]) + text[at + 1 :]


def insert(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    return (
        text[:at] + rng.choice((b"\x00", b"\xff", b"\xc0\x80", b",", b"}", b'"', b"NaN", b"/* */", b"\\u")) + text[at:]
    )


def number(text: bytes, rng: random.Random) -> bytes:
    odd = rng.choice((b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x10", b"01", b"-", b"9" * 5000, b"1e-999", b"+1"))
    return re.sub(rb"(?<=[:\[, ])-?\d+(\.\d+)?(?=[,}\] ])", lambda found: rng.choice((odd, found[0])), text)


def twice(text: bytes, rng: random.Random) -> bytes:
    return rng.choice((text + text, text[:-1] + b"," + text[1:], text[:-1] + b",}", b"[" + text + b"]"))


def recode(text: bytes, rng: random.Random) -> bytes:
    words = text.decode()
    return rng.choice(
        (b"\xef\xbb\xbf" + text, words.encode("utf-16"), words.encode("utf-32"), text.replace(b'"', b"'"))
    )


TEXTUAL = (cut, flip, insert, number, twice, recode)


def odd_text(body: Any, rng: random.Random) -> bytes:
    """The text of `body` with one to three things wrong with it."""
    body = copy.deepcopy(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(places(body)) > 1:
            body = rng.choice(STRUCTURAL)(body, rng)
    if rng.random() < 0.2:
        body = body | {"stream": rng.choice((True, False, "yes", 1))} if isinstance(body, dict) else body
    text = json.dumps(body, default=str).encode()
    return rng.choice(TEXTUAL)(text, rng) if rng.random() < 0.25 else text
