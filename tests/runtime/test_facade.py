"""The synchronous facade: what a plain string is asked with, and what an explicit request keeps."""

from __future__ import annotations

import pytest

from edgellm.request import GREEDY, SamplingParams, ask
from edgellm.runtime.facade import SyncModel
from tests.doubles.scripted_model import ScriptedModel

ADVICE = SamplingParams(temperature=0.2, top_p=0.9)


@pytest.mark.parametrize(
    ("request_or_text", "options", "sampling"),
    [
        ("hi", {}, ADVICE),
        ("hi", {"max_tokens": 3}, ADVICE),
        ("hi", {"sampling": GREEDY}, GREEDY),
        (ask("hi"), {}, SamplingParams()),
        (ask("hi", sampling=GREEDY), {}, GREEDY),
    ],
)
def test_sampling(request_or_text, options, sampling) -> None:  # type: ignore[no-untyped-def]
    model = ScriptedModel([["a", "b"]], sampling=ADVICE)
    with SyncModel(model) as local:
        assert local.text(request_or_text, **options) == "ab"
        assert len(list(local.stream(request_or_text, **options))) == 4
    assert [request.sampling for request in model.requests] == [sampling, sampling]
    assert {request.max_tokens for request in model.requests} == {options.get("max_tokens")}
    assert model.closed
