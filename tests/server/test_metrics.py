"""/metrics is text that Prometheus' own parser takes, with figures that add up and labels that stay few."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from edgellm.events import Timings
from edgellm.model import ModelStatus, SpeculationStatus
from edgellm.telemetry.metrics import ModelMetrics, Registry
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, wait_until

CHAT = "/v1/chat/completions"


class Counting(EchoModel):
    """Has figures of its own, as a model in an engine has."""

    async def status(self) -> ModelStatus:
        registry = Registry()
        counted = ModelMetrics(registry)
        counted.ended(
            "stop", Timings(prompt_n=30, cache_n=10, predicted_n=8, predicted_ms=70, draft_n=5, draft_n_accepted=4)
        )
        guessing = SpeculationStatus(
            state="on",
            reason="not worth it here",
            step_ms={1: 40.0, 8: 72.5},
            draft_ms=11.5,
            acceptance={"ngram": 0.75},
            speedup=1.5,
            rounds=6,
            saved_ms=-250.0,
        )
        return ModelStatus(
            waiting=3, running=2, cells_used=100, cells_total=512, speculation=guessing, metrics=registry.snapshot()
        )


def scraped(server: LiveServer) -> dict[str, list[Any]]:
    reply = server.ask("GET", "/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.body.decode())
    return {family.name: family.samples for family in families}


def value(samples: list[Any], name: str, **labels: str) -> float:
    (found,) = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    return float(found)


def test_what_the_server_did(server: LiveServer) -> None:
    for _ in range(3):
        server.post(CHAT, {"messages": [{"role": "user", "content": "one two three"}]})
    server.post(CHAT, {})
    found = scraped(server)
    requests = found["edgellm_http_requests"]
    wait_until(lambda: True)
    assert value(requests, "edgellm_http_requests_total", route=CHAT, status="200") == 3
    assert value(requests, "edgellm_http_requests_total", route=CHAT, status="400") == 1
    chat = {"gen_ai_operation_name": "chat", "gen_ai_response_model": "echo", "error_type": ""}
    tokens = found["gen_ai_server_token_usage"]
    assert value(tokens, "gen_ai_server_token_usage_total", gen_ai_token_type="input", **chat) == 9
    assert value(tokens, "gen_ai_server_token_usage_total", gen_ai_token_type="output", **chat) == 9
    for name in ("request_duration_seconds", "time_to_first_token_seconds"):
        samples = found[f"gen_ai_server_{name}"]
        assert value(samples, f"gen_ai_server_{name}_count", **chat) == 3
        assert value(samples, f"gen_ai_server_{name}_bucket", le="+Inf", **chat) == 3
        counts = [each.value for each in samples if each.name.endswith("_bucket")]
        assert counts == sorted(counts)


def test_names_that_clients_make_up_are_no_labels(server: LiveServer) -> None:
    for i in range(20):
        server.post(CHAT, {"model": f"made-up-{i}", "messages": [{"role": "user", "content": "x"}]})
        server.ask("GET", f"/made-up-{i}")
    assert b"made-up" not in server.ask("GET", "/metrics").body


def test_what_a_model_counts() -> None:
    from tests.doubles.live_server import live_server

    with live_server(Counting()) as server:
        found = scraped(server)
    one = {"model": "echo"}
    assert value(found["edgellm_requests_waiting"], "edgellm_requests_waiting", **one) == 3
    assert value(found["edgellm_requests_running"], "edgellm_requests_running", **one) == 2
    assert value(found["edgellm_kv_cells_used"], "edgellm_kv_cells_used", **one) == 100
    assert value(found["edgellm_tokens_reused"], "edgellm_tokens_reused_total", **one) == 10
    assert value(found["edgellm_tokens_drafted"], "edgellm_tokens_drafted_total", **one) == 5
    assert value(found["edgellm_tokens_drafted_accepted"], "edgellm_tokens_drafted_accepted_total", **one) == 4
    assert value(found["edgellm_requests"], "edgellm_requests_total", outcome="stop", **one) == 1
    pace = found["edgellm_decode_seconds_per_token"]
    assert value(pace, "edgellm_decode_seconds_per_token_count", **one) == 1


def test_why_tokens_are_guessed_ahead_or_not() -> None:
    from tests.doubles.live_server import live_server

    with live_server(Counting()) as server:
        found = scraped(server)
    assert [(each.labels["state"], each.value) for each in found["edgellm_speculation_state"]] == [("on", 1)]
    for name, expected in (
        ("edgellm_speculation_speedup", 1.5),
        ("edgellm_speculation_saved_seconds", -0.25),
        ("edgellm_draft_token_milliseconds", 11.5),
    ):
        assert value(found[name], name, model="echo") == expected
    assert value(found["edgellm_speculation_rounds"], "edgellm_speculation_rounds_total", model="echo") == 6
    acceptance = found["edgellm_speculation_acceptance"]
    assert value(acceptance, "edgellm_speculation_acceptance", model="echo", proposer="ngram") == 0.75
    steps = found["edgellm_step_milliseconds"]
    assert {each.labels["rows"]: each.value for each in steps} == {"1": 40.0, "8": 72.5}


def test_of_a_model_that_was_not_timed_nothing_is_made_up(server: LiveServer) -> None:
    found = scraped(server)
    assert [each.labels["state"] for each in found["edgellm_speculation_state"]] == ["off"]
    assert not any(found.get(name) for name in ("edgellm_step_milliseconds", "edgellm_draft_token_milliseconds"))
