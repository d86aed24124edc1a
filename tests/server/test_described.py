"""The OpenAPI document keeps its word: whatever fits it, or does not, is answered as the document says."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import NonInteractiveExampleWarning
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from edgellm.backends.base import InfillTokens, Limits
from edgellm.backends.fake import FakeBackend
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from edgellm.server.library import Library
from tests.doubles.live_server import LiveServer, live_server

FEW, MANY = 2, 10_000
BACK_S = 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Everything but the weights is real; the library has no network."""
    from huggingface_hub import constants

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGELLM_HOME", str(home))
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        limits = Limits(cells=512, slots=8, batch=128, rows=32)
        settings = ModelSettings(parallel=8)
        model = LocalModel(lambda: _backend(limits), settings, ModelInfo(name="fake", context_length=512))
        with live_server(model, library=Library(offline=True)) as server:
            yield server


def _backend(limits: Limits) -> FakeBackend:
    backend = FakeBackend(limits=limits)
    backend.vocabulary.infill = InfillTokens(1, 2, 3)
    return backend


def no_fault(ctx: CheckContext, response: Response, case: Case) -> None:
    """No 5xx, but where the request itself allows no time."""
    hurried = "x-request-timeout" in {name.lower() for name in case.headers or {}}
    assert response.status_code < 500 or (response.status_code == 504 and hurried), response.text[:500]


CHECKS = [
    no_fault,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


def examine(server: LiveServer, each: int) -> Counter[int]:
    """Ask every operation `each` times; the statuses that came."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    statuses: Counter[int] = Counter()
    broken = []
    for found in schema.get_all_operations():
        operation = found.ok()
        try:
            _examine(operation, each, statuses)
        except (AssertionError, FailureGroup, Failure) as error:
            broken.append(f"{operation.label}: {error}")
    assert not broken, "\n\n".join(broken)
    return statuses


def _examine(operation: Any, each: int, statuses: Counter[int]) -> None:
    modes = [*([GenerationMode.POSITIVE] * 2), GenerationMode.NEGATIVE]  # what is wrong is often wrong in the same way
    if not operation.body:  # any text is a sound path
        modes = [GenerationMode.POSITIVE]
    for mode in dict.fromkeys(modes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            _ask(operation, mode, max(1, each * modes.count(mode) // len(modes)), statuses)


def _ask(operation: Any, mode: GenerationMode, bound: int, statuses: Counter[int]) -> None:
    @settings(
        max_examples=bound,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "fake"  # most made-up names are a 404
        response = case.call(timeout=BACK_S)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    ask()


def test_a_few_requests_of_each_kind(whole: LiveServer) -> None:
    statuses = examine(whole, FEW)
    assert statuses[200] and statuses[400]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_requests(whole: LiveServer) -> None:
    document = whole.ask("GET", "/openapi.json").json()
    count = sum(len(operations) for operations in document["paths"].values())
    statuses = examine(whole, -(-MANY * 3 // 2 // count))
    print(statuses)
    assert sum(statuses.values()) >= MANY
    assert whole.ask("GET", "/health").status == 200


def test_every_operation_tells_its_answers_and_refusals(whole: LiveServer) -> None:
    document = whole.ask("GET", "/openapi.json").json()
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) > 20
    for path, operations in document["paths"].items():
        for operation in operations.values():
            told = set(operation["responses"])
            assert {"200", "401", "403", "500"} <= told and "422" not in told, path
            if "requestBody" in operation:
                assert {"400", "404", "408", "413", "415", "429", "504"} <= told, path
            assert operation["summary"] and operation["security"], path
