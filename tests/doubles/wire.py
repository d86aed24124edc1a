"""Hypothesis strategies for everything that crosses the boundary between a model and its callers."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from edgellm import events
from edgellm.messages import ImagePart, Message, TextPart, Tool, ToolCall, ToolResult
from edgellm.request import (
    ChatRequest,
    Conversation,
    GrammarFormat,
    Infill,
    JsonFormat,
    Prompt,
    SamplingParams,
    SchemaFormat,
    SourceFile,
    TokenIds,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.integers(0, 2**31 - 1)
small = st.integers(0, 7)
floats = st.floats(allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)

parts = st.one_of(
    st.builds(TextPart, texts),
    st.builds(ImagePart, st.binary(max_size=50), texts),
    st.builds(ToolCall, texts, texts, texts),
    st.builds(ToolResult, texts, texts),
)
messages = st.builds(
    Message,
    st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    st.lists(parts, max_size=3).map(tuple),
)
inputs = st.one_of(
    st.builds(Conversation, st.lists(messages, max_size=3).map(tuple), st.booleans()),
    st.builds(Prompt, texts),
    st.builds(
        Infill, texts, texts, texts, st.none() | st.lists(st.builds(SourceFile, texts, texts), max_size=2).map(tuple)
    ),
    st.builds(TokenIds, st.lists(ids, max_size=9).map(tuple)),
)
sampling = st.builds(
    SamplingParams,
    temperature=floats,
    top_k=ids,
    logit_bias=st.dictionaries(ids, floats, max_size=3),
    seed=st.none() | st.integers(0, 2**64 - 1),
)
formats = st.one_of(
    st.builds(JsonFormat),
    st.builds(SchemaFormat, objects, st.booleans()),
    st.builds(GrammarFormat, texts, st.sampled_from(["lark", "regex"])),
)
requests = st.builds(
    ChatRequest,
    input=inputs,
    model=texts,
    sampling=sampling,
    n=st.just(1),
    max_tokens=st.none() | ids,
    stop=st.lists(texts, max_size=2).map(tuple),
    stop_token_ids=st.lists(ids, max_size=2).map(tuple),
    ignore_eos=st.booleans(),
    logprobs=st.none() | small,
    format=st.none() | formats,
    tools=st.lists(st.builds(Tool, texts, texts, objects), max_size=2).map(tuple),
    tool_choice=texts,
    template_args=objects,
    priority=st.sampled_from(["interactive", "batch"]),
    deadline_s=st.none() | floats,
)

_plain = st.builds(events.TokenLogprob, ids, texts, st.binary(max_size=8), floats)
logprobs = st.builds(
    events.TokenLogprob, ids, texts, st.binary(max_size=8), floats, st.lists(_plain, max_size=2).map(tuple)
)
_pieces = (texts, small, small, st.lists(logprobs, max_size=2).map(tuple))
any_event = st.one_of(
    st.builds(events.Started, ids, ids, small),
    st.builds(events.Progress, ids, ids, small),
    st.builds(events.Text, *_pieces),
    st.builds(events.Reasoning, *_pieces),
    st.builds(events.ToolStart, texts, texts, small, small),
    st.builds(events.ToolArguments, texts, small, small),
    st.builds(events.ToolEnd, small, small),
    st.builds(
        events.Finished,
        st.sampled_from(["stop", "length", "tool_calls"]),
        st.builds(events.Usage, ids, ids, ids),
        st.builds(events.Timings, ids, ids, floats, ids, floats, floats, floats),
        st.none() | texts,
        small,
    ),
    st.builds(events.Failed, texts, texts, st.dictionaries(texts, floats, max_size=2), small),
)


def replay(script: list[events.Event]) -> dict[str, object]:
    """Template arguments that make the scripted double send exactly `script`."""
    return {"events": msgspec.to_builtins(script, builtin_types=(bytes,))}
