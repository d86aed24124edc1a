"""Tests of `edgellm.request`."""

import msgspec
import pytest

from edgellm import messages
from edgellm.request import (
    GREEDY,
    ChatRequest,
    Conversation,
    Format,
    GrammarFormat,
    Infill,
    Input,
    JsonFormat,
    Prompt,
    SamplingParams,
    SchemaFormat,
    TokenIds,
    ask,
)

INPUTS = [
    Conversation((messages.system("s"), messages.user("u"), messages.assistant("a")), continue_last=True),
    Prompt("once upon"),
    Infill("def f(", "return x"),
    TokenIds((1, 2, 151_935)),
]
FORMATS = [JsonFormat(), SchemaFormat({"type": "object"}, strict=True), GrammarFormat("[a-z]+", "regex")]


def _travelled(request: ChatRequest) -> ChatRequest:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=ChatRequest)


@pytest.mark.parametrize("input", INPUTS, ids=lambda input: type(input).__name__)
def test_every_input_survives_a_process_boundary(input) -> None:
    assert _travelled(ChatRequest(input=input)) == ChatRequest(input=input)


@pytest.mark.parametrize("format", [None, *FORMATS], ids=lambda format: type(format).__name__)
def test_every_format_survives_a_process_boundary(format) -> None:
    assert _travelled(ChatRequest(input=Prompt(""), format=format)).format == format


def test_every_kind_is_tried_above() -> None:
    assert {type(input) for input in INPUTS} == set(Input.__args__)
    assert {type(format) for format in FORMATS} == set(Format.__args__)


def test_a_full_request_survives_with_its_integer_keys() -> None:
    request = ChatRequest(
        input=Prompt("p"),
        model="m",
        sampling=SamplingParams(temperature=0.1, logit_bias={7: -100.0, 9: 2.5}, seed=2**64 - 1),
        n=3,
        max_tokens=5,
        stop=("\n", "###"),
        stop_token_ids=(2,),
        ignore_eos=True,
        logprobs=0,
        tools=(messages.Tool("t", "d", {"type": "object"}),),
        tool_choice="required",
        template_args={"enable_thinking": False},
        priority="batch",
        deadline_s=1.5,
    )
    assert _travelled(request) == request


def test_ask_is_one_user_message() -> None:
    assert ask("hello", max_tokens=3) == ChatRequest(input=Conversation((messages.user("hello"),)), max_tokens=3)


@pytest.mark.parametrize("sampling", [SamplingParams(), GREEDY, SamplingParams(penalty_window=-1, top_k=0, seed=0)])
def test_good_sampling_has_no_problem(sampling) -> None:
    assert sampling.problem() is None


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", [0.0, 100.0], [-0.1, 100.1, float("nan"), float("inf")]),
        ("top_k", [0, 1], [-1]),
        ("top_p", [1e-9, 1.0], [0.0, 1.1, float("nan")]),
        ("min_p", [0.0, 0.99], [-0.1, 1.0, float("nan")]),
        ("typical_p", [1e-9, 1.0], [0.0, 1.1]),
        ("repetition_penalty", [0.1, 100.0], [0.0, 101.0, float("nan")]),
        ("frequency_penalty", [-2.0, 2.0], [-2.1, 2.1]),
        ("presence_penalty", [-2.0, 2.0], [-2.1, 2.1]),
        ("penalty_window", [-1, 0], [-2]),
        ("seed", [None, 0, 2**64 - 1], [-1, 2**64]),
    ],
)
def test_values_out_of_range_are_named(name, good, bad) -> None:
    for value in good:
        assert SamplingParams(**{name: value}).problem() is None, value
    for value in bad:
        problem = SamplingParams(**{name: value}).problem()
        assert problem is not None and problem.startswith(name), value
