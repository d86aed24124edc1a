"""Embeddings and ranking over HTTP: the real SDKs, real pooled models in worker processes, and bodies that are odd."""

from __future__ import annotations

import base64
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ollama
import openai
import psutil
import pytest

from edgellm import config
from edgellm.catalog import in_place
from edgellm.model import ModelInfo
from edgellm.runtime.local_embedder import LocalEmbedder
from edgellm.runtime.locate import Located
from edgellm.server.models import OneModel
from edgellm.server.pooled_models import PooledModels
from tests import tiny_bert, tiny_model
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until
from tests.doubles.shelved import shelve
from tests.doubles.vector_backend import VectorBackend

WIDTH = 96
TEXTS = ["the cat sat on the mat", "What is the capital of France?", "zz top 42"]
IDS = [2, 5, 9, 12, 13, 5, 11, 3]  # of the first of them


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A model that embeds, under a name of the catalog's whose vectors may be cut; one that may not; one that ranks."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGELLM_HOME", str(home))
        patch.setenv("HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(in_place, "on_this_machine", list)
        shelve(home, "nomic-embed-text", tiny_bert.build(home, width=WIDTH))
        shelve(home, "plain", tiny_bert.build(home, seed=1))
        shelve(home, "bge-reranker-v2-m3", tiny_bert.build(home, pooling="rank", head=True))
        shelve(home, "chatty", tiny_model.build(home))
        models = PooledModels(config.load({"threads": 1, "context": 64}, environ={}))
        with live_server(EchoModel(), models=models) as server:
            yield server


@pytest.fixture
def client(live: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def expected() -> np.ndarray:
    """The first of `TEXTS`, in numpy."""
    row = tiny_bert.hidden(tiny_bert.tensors(tiny_bert.Shape(width=WIDTH)), IDS, 4).mean(0)
    unit: np.ndarray = row / np.linalg.norm(row)
    return unit


def message(reply: Any) -> str:
    error = reply.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)


# --- OpenAI ---


def test_openai_gives_numbers_however_they_travel(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="nomic-embed-text", input=TEXTS)  # the SDK asks for base64 by itself
    plain = client.embeddings.create(model="nomic-embed-text", input=TEXTS, encoding_format="float")
    assert [each.index for each in packed.data] == [0, 1, 2]
    for one, other in zip(packed.data, plain.data, strict=True):
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-7)
        assert math.isclose(float(np.linalg.norm(one.embedding)), 1.0, abs_tol=1e-6)
    np.testing.assert_allclose(packed.data[0].embedding, expected(), atol=2e-3)
    assert (packed.model, packed.object) == ("nomic-embed-text", "list")
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 20


def test_a_text_a_list_and_token_ids_are_the_same(live: LiveServer) -> None:
    half = len(TEXTS[0]) // 2
    parts = {"content": [{"type": "text", "text": TEXTS[0][:half]}, {"type": "text", "text": TEXTS[0][half:]}]}
    objects: list[Any] = [{"prompt_string": TEXTS[0]}, [parts, TEXTS[1]]]
    inputs: list[Any] = [TEXTS[0], [TEXTS[0]], IDS, [IDS], [IDS, TEXTS[0]], *objects]
    rows = [
        live.post("/v1/embeddings", {"model": "nomic-embed-text", "input": each}).json()["data"][0]["embedding"]
        for each in inputs
    ]
    assert rows[0] == rows[1]
    np.testing.assert_allclose(rows, [rows[0]] * 7, atol=1e-6)
    reply = live.post("/v1/embeddings", {"model": "nomic-embed-text", "input": TEXTS[0], "encoding_format": "base64"})
    packed = np.frombuffer(base64.b64decode(reply.json()["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(packed, rows[0], atol=1e-7)


def test_vectors_are_cut_where_they_were_trained_for_it(client: openai.OpenAI, live: LiveServer) -> None:
    whole = client.embeddings.create(model="nomic-embed-text", input=TEXTS[0]).data[0].embedding
    cut = client.embeddings.create(model="nomic-embed-text", input=TEXTS[0], dimensions=64).data[0].embedding
    assert len(whole) == WIDTH and len(cut) == 64
    np.testing.assert_allclose(cut, np.array(whole[:64]) / np.linalg.norm(whole[:64]), atol=1e-6)
    for name, dimensions, words in (
        ("plain", 16, "not made to be cut"),
        ("nomic-embed-text", 63, "between 64 and 96"),
        ("nomic-embed-text", 97, "between 64 and 96"),
    ):
        reply = live.post("/v1/embeddings", {"model": name, "input": "a", "dimensions": dimensions})
        assert reply.status == 400 and words in message(reply)
    assert live.post("/v1/embeddings", {"model": "plain", "input": "a", "dimensions": 48}).status == 200


def test_what_is_too_long_is_refused_with_both_numbers(live: LiveServer) -> None:
    body = {"model": "plain", "input": ["a", "cat " * 100]}
    reply = live.post("/v1/embeddings", body)
    error = reply.json()["error"]
    assert reply.status == 400 and error["code"] == "context_length_exceeded"
    assert "Input 1 is too large: it has 102 tokens" in error["message"] and "at most 64" in error["message"]
    cut = live.ask("POST", "/v1/embeddings", json.dumps(body).encode(), {"x-edgellm-truncation": "auto"})
    assert cut.status == 200 and cut.headers["x-edgellm-truncated"] == "tokens=38"
    assert cut.json()["usage"]["prompt_tokens"] == 64 + 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "input"),
        ({"input": []}, "empty list"),
        ({"input": [[]]}, "Input 0 is empty"),
        ({"input": [["a"]]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": {"prompt_string": "a", "content": []}}, "either"),
        ({"input": [{"content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"input": [1, -1]}, "input"),
        ({"input": [99_999]}, "token ids"),
        ({"input": [2**31 - 1]}, "token ids"),
        ({"input": ["a"] * 2049}, "at most 2048"),
        ({"input": ["a"] * 10_000}, "10000 entries"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "x" * 1_000_000}, "tokens"),
    ],
)
def test_odd_bodies_are_refused(live: LiveServer, body: dict[str, Any], words: str) -> None:
    reply = live.post("/v1/embeddings", {"model": "plain", **body})
    assert reply.status == 400, reply.body[:300]
    assert words in message(reply)


def test_half_a_surrogate_pair_is_refused_and_an_empty_text_is_a_text(live: LiveServer) -> None:
    reply = live.ask("POST", "/v1/embeddings", b'{"model": "plain", "input": ["a \\ud800 b"]}')
    assert reply.status == 400 and "surrogate" in message(reply)
    assert live.post("/v1/embeddings", {"model": "plain", "input": ""}).json()["usage"]["prompt_tokens"] == 2


def test_as_many_inputs_as_are_allowed(live: LiveServer) -> None:
    reply = live.post("/v1/embeddings", {"model": "plain", "input": [f"a cat {place}" for place in range(2048)]}).json()
    assert [each["index"] for each in reply["data"]] == list(range(2048))
    again = live.post("/v1/embeddings", {"model": "plain", "input": "a cat 2047"}).json()
    np.testing.assert_allclose(reply["data"][-1]["embedding"], again["data"][0]["embedding"], atol=1e-3)


def test_models_that_cannot_say_so(live: LiveServer) -> None:
    unknown = live.post("/v1/embeddings", {"model": "nobody", "input": "a"})
    assert unknown.status == 404 and unknown.json()["error"]["code"] == "model_not_found"
    ranker = live.post("/v1/embeddings", {"model": "bge-reranker-v2-m3", "input": "a"})
    assert ranker.status == 400 and "/v1/rerank" in message(ranker)
    writer = live.post("/v1/chat/completions", {"model": "plain", "messages": [{"role": "user", "content": "hi"}]})
    assert writer.status == 400 and "embeddings" in message(writer)


def test_without_a_name_the_default_model_embeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    monkeypatch.setattr(in_place, "on_this_machine", list)
    first = Located(path=tiny_model.build(tmp_path), name="chatty")
    models = PooledModels(config.load({"threads": 1, "context": 64}, environ={}), first)
    with live_server(EchoModel(), models=models) as live:
        reply = live.post("/v1/embeddings", {"input": "hello"}).json()
    assert reply["model"] == "chatty" and len(reply["data"][0]["embedding"]) == 64


def test_a_model_that_writes_embeds_too(client: openai.OpenAI) -> None:
    made = client.embeddings.create(model="chatty", input=["hello there", "hello there!"])
    assert len(made.data[0].embedding) == 64
    assert math.isclose(float(np.linalg.norm(made.data[1].embedding)), 1.0, abs_tol=1e-6)


# --- ranking ---


def test_documents_come_back_best_first(live: LiveServer) -> None:
    documents = ["paris is the capital", {"text": "a red cat"}, "", "dog " * 3]
    body = {"model": "bge-reranker-v2-m3", "query": "what is the capital?", "documents": documents}
    reply = live.post("/v1/rerank", body).json()
    scores = [each["relevance_score"] for each in reply["results"]]
    assert sorted(each["index"] for each in reply["results"]) == [0, 1, 2, 3]
    assert scores == sorted(scores, reverse=True) and all(0 < score < 1 for score in scores)
    assert reply["model"] == "bge-reranker-v2-m3" and reply["usage"]["total_tokens"] > 20
    raw = {
        each["index"]: each["relevance_score"]
        for each in live.post("/rerank", body | {"raw_scores": True}).json()["results"]
    }
    for each in reply["results"]:
        assert math.isclose(each["relevance_score"], 1 / (1 + math.exp(-raw[each["index"]])), abs_tol=1e-5)
    best = live.post("/v2/rerank", body | {"top_n": 2, "return_documents": True}).json()["results"]
    texts = ["paris is the capital", "a red cat", "", "dog " * 3]
    assert len(best) == 2 and all(each["document"] == {"text": texts[each["index"]]} for each in best)


def test_ranking_in_tei_words(live: LiveServer) -> None:
    body = {"model": "bge-reranker", "query": "a cat", "texts": ["a dog", "a cat"], "return_text": True}
    reply = live.post("/v1/rerank", body).json()
    assert {each["text"] for each in reply} == {"a dog", "a cat"} and reply[0]["score"] >= reply[1]["score"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": "a"}, "documents"),
        ({"query": "a", "documents": []}, "empty"),
        ({"documents": ["a"]}, "query"),
        ({"query": 1, "documents": ["a"]}, "query"),
        ({"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
        ({"query": "a", "documents": ["a"], "texts": ["a"]}, "documents"),
        ({"query": "a", "documents": [{"content": "a"}]}, "documents.0"),
        ({"query": "a", "documents": ["a"] * 3000}, "at most 2048"),
        (
            {"query": "a", "documents": ["a", "cat " * 500]},
            "Document 1, together with the query, is too large: it has 504",
        ),
    ],
)
def test_odd_rankings_are_refused(live: LiveServer, body: dict[str, Any], words: str) -> None:
    reply = live.post("/v1/rerank", {"model": "bge-reranker-v2-m3", **body})
    assert reply.status == 400, reply.body[:300]
    assert words in message(reply)


def test_only_rerankers_rank_and_long_documents_may_be_cut(live: LiveServer) -> None:
    reply = live.post("/v1/rerank", {"model": "plain", "query": "a", "documents": ["b"]})
    assert reply.status == 400 and "no reranker" in message(reply)
    body = {"model": "bge-reranker-v2-m3", "query": "a", "documents": ["cat " * 500], "truncate": True}
    cut = live.post("/v1/rerank", body)
    assert cut.status == 200 and cut.headers["x-edgellm-truncated"] == "tokens=440"


# --- Ollama ---


def test_ollama_embeds(live: LiveServer) -> None:
    with ollama.Client(host=live.url, timeout=20) as client:
        reply = client.embed("nomic-embed-text:latest", TEXTS)
        one = client.embed("nomic-embed-text", TEXTS[0], dimensions=64, keep_alive="5m")
        old = client.embeddings("nomic-embed-text", TEXTS[0])
        loaded = client.embed("nomic-embed-text", [])
        long = client.embed("nomic-embed-text", "cat " * 100)
        with pytest.raises(ollama.ResponseError, match="at most 64") as refused:
            client.embed("nomic-embed-text", "cat " * 100, truncate=False)
    assert refused.value.status_code == 400
    assert len(reply.embeddings) == 3 and len(one.embeddings[0]) == 64 and loaded.embeddings == []
    np.testing.assert_allclose(reply.embeddings[0], expected(), atol=2e-3)
    np.testing.assert_allclose(old.embedding, reply.embeddings[0], atol=1e-6)
    assert reply.model == "nomic-embed-text" and (reply.prompt_eval_count or 0) > 20
    assert (reply.total_duration or 0) > (reply.load_duration or 0) >= 0
    assert long.prompt_eval_count == 64


def test_ollama_says_what_it_cut_and_words_its_errors(live: LiveServer) -> None:
    cut = live.post("/api/embed", {"model": "plain", "input": ["a", "cat " * 100]})
    assert cut.headers["x-edgellm-truncated"] == "tokens=38"
    unknown = live.post("/api/embed", {"model": "nobody", "input": "a"})
    assert unknown.status == 404 and isinstance(unknown.json()["error"], str)
    assert live.post("/api/embeddings", {"model": "plain", "prompt": ""}).json() == {"embedding": []}
    assert live.post("/api/embed", {"model": "plain", "input": "a", "keep_alive": "soon"}).status == 400
    assert live.post("/api/embed", {"model": "plain", "input": "a", "dimensions": 3}).status == 400


def test_keep_alive_lets_an_embedder_go(live: LiveServer) -> None:
    live.post("/api/embed", {"model": "plain", "input": "a", "keep_alive": 0})

    def gone() -> bool:
        return all(each["name"] != "plain" for each in live.ask("GET", "/api/ps").json()["models"])

    wait_until(gone)
    live.post("/api/embed", {"model": "plain", "input": "a"})
    assert not gone()


# --- when things go wrong ---


def test_a_client_that_hangs_up_takes_its_work_along() -> None:
    backend = VectorBackend(sequences=1, gate=threading.Event())
    embedder = LocalEmbedder(lambda: backend, ModelInfo(name="vectors"))
    with live_server(EchoModel(), models=OneModel(EchoModel(), embedder=embedder)) as live:
        begun = live.begin("/v1/embeddings", {"input": ["cat"] * 500})
        wait_until(lambda: backend.asked)
        begun.close()
        queue = embedder._queue
        assert queue is not None and backend.gate is not None
        wait_until(lambda: not queue._requests)
        backend.gate.set()
        assert live.post("/v1/embeddings", {"input": "dog"}).status == 200
    assert [len(batch) for batch in backend.batches] == [1, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_costs_one_request(live: LiveServer) -> None:
    live.post("/api/embed", {"model": "plain", "input": "a"})
    before = {child.pid for child in psutil.Process().children() if "edgellm.runtime.worker" in child.cmdline()}
    begun = live.begin("/v1/embeddings", {"model": "plain", "input": ["cat " * 60] * 2000})
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    with begun:
        answer = begun.recv(65536)
    assert b" 503 " in answer.split(b"\r\n")[0] and b"worker_died" in answer
    reply = live.post("/v1/embeddings", {"model": "plain", "input": "a"})
    assert reply.status == 200, reply.body
