"""GET /metrics: traffic and loaded models in Prometheus' text format.

Names are OpenTelemetry's GenAI ones where there is one. Labels have few values: routes and models that exist, error
codes, statuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

import edgellm
from edgellm.errors import EdgeLLMError
from edgellm.model import ModelStatus, SpeculationStatus
from edgellm.runtime.standing import Standing
from edgellm.server.documented import TEXT_TYPE, answer
from edgellm.server.models import Models
from edgellm.server.traffic import Traffic
from edgellm.telemetry.metrics import HistogramSnapshot, Snapshot

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

STATUS_S = 2.0
router = APIRouter()
Loaded = list[tuple[Standing, ModelStatus | None]]


@router.get("/metrics", response_model=None, responses=answer(stream=TEXT_TYPE, description="Prometheus' text format."))
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms for Prometheus."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    loaded = await _loaded(request.app.state.models)
    traffic: Traffic = request.app.state.traffic

    class Scrape(Collector):
        def collect(self) -> Iterable[Metric]:
            yield from _of_traffic(traffic)
            yield from _of_models(loaded)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scrape())
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _loaded(models: Models) -> Loaded:
    """A model that does not answer in time is told of without its status."""
    found: Loaded = []
    for standing, model in await models.loaded():
        status = None
        if model is not None and standing.state == "loaded":
            with suppress(TimeoutError, EdgeLLMError):
                async with asyncio.timeout(STATUS_S):
                    status = await model.status()
        found.append((standing, status))
    return found


def _of_traffic(traffic: Traffic) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("edgellm", "The server's version.", {"version": edgellm.__version__})
    requests = CounterMetricFamily(
        "edgellm_http_requests", "Requests that ended; 499: the client left.", labels=["route", "status"]
    )
    for (route, status), count in sorted(traffic.requests.items()):
        requests.add_metric([route, str(status)], count)
    yield requests
    yield GaugeMetricFamily("edgellm_http_requests_active", "Requests in progress.", len(traffic.active))
    yield from _of_answers(traffic)


def _of_answers(traffic: Traffic) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    labels = ["gen_ai_operation_name", "gen_ai_response_model", "error_type"]
    duration = HistogramMetricFamily(
        "gen_ai_server_request_duration_seconds", "From a request to the end of its answer.", labels=labels
    )
    first = HistogramMetricFamily(
        "gen_ai_server_time_to_first_token_seconds", "From a request to its first token.", labels=labels
    )
    pace = HistogramMetricFamily(
        "gen_ai_server_time_per_output_token_seconds", "Mean time between the tokens of an answer.", labels=labels
    )
    tokens = CounterMetricFamily(
        "gen_ai_server_token_usage", "Tokens of requests that ended.", labels=[*labels, "gen_ai_token_type"]
    )
    for (model, operation, error), answers in sorted(traffic.answers.items()):
        values = [operation, model, error]
        _add(duration, values, answers.duration.snapshot())
        _add(first, values, answers.first.snapshot())
        _add(pace, values, answers.per_token.snapshot())
        tokens.add_metric([*values, "input"], answers.prompt_tokens)
        tokens.add_metric([*values, "output"], answers.completion_tokens)
    yield from (duration, first, pace, tokens)


_GAUGES = (
    ("edgellm_requests_running", "Answers that a model writes now.", "running"),
    ("edgellm_requests_waiting", "Answers that wait for their turn.", "waiting"),
    ("edgellm_kv_cells_used", "Tokens in the KV cache.", "cells_used"),
    ("edgellm_kv_cells", "Tokens that the KV cache holds.", "cells_total"),
    ("edgellm_sequences_resident", "Sequences in the KV cache, kept ones included.", "sequences_resident"),
    ("edgellm_step_host_milliseconds", "Mean time of a step outside the model's own computing.", "step_host_ms"),
)


def _of_models(loaded: Loaded) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    memory = GaugeMetricFamily("edgellm_model_memory_bytes", "Memory of a loaded model.", labels=["model", "place"])
    for standing, _ in loaded:
        memory.add_metric([standing.info.name, "main"], standing.memory_bytes)
        memory.add_metric([standing.info.name, "gpu"], standing.gpu_bytes)
    yield memory
    told = [(standing.info.name, status) for standing, status in loaded if status is not None]
    for name, description, field in _GAUGES:
        gauge = GaugeMetricFamily(name, description, labels=["model"])
        for model, status in told:
            gauge.add_metric([model], getattr(status, field))
        yield gauge
    yield from _of_speculation([(model, status.speculation) for model, status in told])
    yield from _counted([(model, status.metrics) for model, status in told])


def _of_speculation(told: list[tuple[str, SpeculationStatus]]) -> Iterator[Metric]:
    """What decides whether tokens are guessed ahead; the reason in words is in /health, for labels are to be few."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    state = GaugeMetricFamily(
        "edgellm_speculation_state", "1 for the state that guessing ahead is in.", labels=["model", "state"]
    )
    speedup = GaugeMetricFamily(
        "edgellm_speculation_speedup", "Of the last round, as it was expected; 1 for a plain step.", labels=["model"]
    )
    saved = GaugeMetricFamily(
        "edgellm_speculation_saved_seconds", "By guesses since the start; below 0 where they cost.", labels=["model"]
    )
    rounds = CounterMetricFamily("edgellm_speculation_rounds", "Steps that verified guesses.", labels=["model"])
    acceptance = GaugeMetricFamily(
        "edgellm_speculation_acceptance", "Part of guesses made lately that came true.", labels=["model", "proposer"]
    )
    step = GaugeMetricFamily(
        "edgellm_step_milliseconds", "A decode of so many rows, as it was measured.", labels=["model", "rows"]
    )
    draft = GaugeMetricFamily("edgellm_draft_token_milliseconds", "A token of the draft model.", labels=["model"])
    for model, status in told:
        state.add_metric([model, status.state], 1)
        speedup.add_metric([model], status.speedup)
        saved.add_metric([model], status.saved_ms / 1000)
        rounds.add_metric([model], status.rounds)
        for proposer, part in status.acceptance.items():
            acceptance.add_metric([model, proposer], part)
        for rows, milliseconds in status.step_ms.items():
            step.add_metric([model, str(rows)], milliseconds)
        if status.draft_ms is not None:
            draft.add_metric([model], status.draft_ms)
    yield from (state, speedup, saved, rounds, acceptance, step, draft)


def _counted(snapshots: list[tuple[str, Snapshot]]) -> Iterator[Metric]:
    """What each model counts itself: one family a name, with the model as a label."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    families: dict[str, Metric] = {}
    for model, snapshot in snapshots:
        for counter in snapshot.counters:
            labels = ["model", counter.label] if counter.label else ["model"]
            family = families.setdefault(
                counter.name, CounterMetricFamily(counter.name, counter.description, labels=labels)
            )
            assert isinstance(family, CounterMetricFamily)
            for value, count in counter.values.items():
                family.add_metric([model, value] if counter.label else [model], count)
        for histogram in snapshot.histograms:
            shown = families.setdefault(
                histogram.name, HistogramMetricFamily(histogram.name, histogram.description, labels=["model"])
            )
            assert isinstance(shown, HistogramMetricFamily)
            _add(shown, [model], histogram)
    yield from families.values()


def _add(family: HistogramMetricFamily, labels: list[str], histogram: HistogramSnapshot) -> None:
    """Prometheus' buckets count everything up to their bound."""
    bounds = [*(repr(bound) for bound in histogram.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
