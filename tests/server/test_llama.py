"""llama-server's own addresses: /completion, and /infill as editors use it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgellm.errors import Unsupported
from edgellm.request import Infill, Prompt, SourceFile, TokenIds
from tests.doubles.context_model import ContextModel
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

HOLE = {"input_prefix": "def f(", "input_suffix": "): pass"}
EXTRA = [{"filename": "a.py", "text": "a = 1"}, {"text": "b = 2"}]


def chunks(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.decode().split("\n\n") if line.startswith("data: ")]


def test_whole(server: LiveServer, model: EchoModel) -> None:
    body = {"prompt": "a b\n c", "n_predict": 2, "temperature": 0, "top_k": 3, "seed": 7, "stop": ["x"]}
    reply = server.post("/completion", body).json()
    assert (reply["content"], reply["stop"], reply["model"], reply["index"]) == ("a b", True, "echo", 0)
    assert (reply["stop_type"], reply["stopping_word"], reply["has_new_line"]) == ("limit", "", False)
    assert (reply["tokens_predicted"], reply["tokens_evaluated"], reply["tokens_cached"]) == (2, 3, 5)
    assert reply["truncated"] is False
    assert reply["timings"]["predicted_n"] == 2
    settings = reply["generation_settings"]
    assert (settings["n_predict"], settings["temperature"], settings["seed"], settings["stop"]) == (2, 0.0, 7, ["x"])
    assert model.requests[0].input == Prompt("a b\n c")
    assert server.post("/completion", {"prompt": "a\nb"}).json()["has_new_line"] is True


def test_a_stream_ends_with_everything_else(server: LiveServer) -> None:
    reply = server.post("/completion", {"prompt": "a b", "stream": True, "n_probs": 2})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert b"[DONE]" not in reply.body
    *pieces, last = chunks(reply.body)
    assert [(piece["content"], piece["stop"]) for piece in pieces] == [("a", False), (" b", False)]
    (score,) = pieces[0]["completion_probabilities"]
    assert (score["id"], score["token"], score["logprob"]) == (1, "a", -0.5)
    assert [other["token"] for other in score["top_logprobs"]] == ["a0", "a1"]
    assert (last["stop"], last["content"], last["stop_type"]) == (True, "", "eos")
    assert last["timings"]["prompt_n"] == 2


def test_probabilities_whole(server: LiveServer) -> None:
    reply = server.post("/completion", {"prompt": "a b", "n_probs": 1}).json()
    assert [entry["token"] for entry in reply["completion_probabilities"]] == ["a", " b"]
    assert reply["tokens"] == [1, 1]


@pytest.mark.parametrize("prompts", [["a b", {"prompt_string": "c"}], ["a b", [99]]])
def test_a_list_of_prompts_has_a_list_of_answers(server: LiveServer, model: EchoModel, prompts: list[Any]) -> None:
    first, second = server.post("/completion", {"prompt": prompts}).json()
    assert (first["index"], first["content"]) == (0, "a b")
    assert (second["index"], second["content"]) == (1, "c" if isinstance(prompts[1], dict) else "99")
    assert (first["timings"]["predicted_n"], second["timings"]["predicted_n"]) == (2, 1)
    assert isinstance(server.post("/completion", {"prompt": ["a b"]}).json(), list)
    pieces = chunks(server.post("/completion", {"prompt": prompts, "stream": True}).body)
    assert [piece["index"] for piece in pieces if piece["stop"]] in ([0, 1], [1, 0])
    assert "".join(piece["content"] for piece in pieces if not piece["index"]) == "a b"


def test_ids_of_an_answer(server: LiveServer) -> None:
    reply = server.post("/completion", {"prompt": "a b", "return_tokens": True}).json()
    assert reply["tokens"] == [1, 1] and "completion_probabilities" not in reply
    assert server.post("/completion", {"prompt": "a b"}).json()["tokens"] == []


def test_only_what_is_asked_for_is_told(server: LiveServer) -> None:
    fields = ["content", "generation_settings/n_predict", "nothing", "content/deeper"]
    reply = server.post("/completion", {"prompt": "a b", "n_predict": 1, "response_fields": fields}).json()
    assert reply == {"content": "a", "generation_settings/n_predict": 1}


@pytest.mark.parametrize("bias", [{" the": -100, "7": 1}, [[" the", -100], [7, 1]]])
def test_the_tokens_of_a_text_have_its_bias(server: LiveServer, model: EchoModel, bias: Any) -> None:
    assert server.post("/completion", {"prompt": "a", "logit_bias": bias}).status == 200
    assert model.requests[0].sampling.logit_bias == {3: -100, 7: 1}  # the double's token of a word is its length


def test_infill(server: LiveServer, model: EchoModel) -> None:
    assert server.post("/infill", HOLE).json()["content"] == "def f( ): pass"
    server.post("/infill", HOLE | {"prompt": "x", "input_extra": EXTRA, "n_predict": 4})
    first, second = model.requests
    assert first.input == Infill("def f(", "): pass", "", ())
    files = (SourceFile("a.py", "a = 1"), SourceFile("tmp", "b = 2"))
    assert (second.input, second.max_tokens) == (Infill("def f(", "): pass", "x", files), 4)


def test_token_ids(server: LiveServer, model: EchoModel) -> None:
    assert server.post("/completion", {"prompt": [1, 2]}).status == 200
    assert model.requests[0].input == TokenIds((1, 2))


@pytest.mark.parametrize("streaming", [False, True])
def test_nothing_to_predict_computes_the_prompt(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    reply = server.post("/infill", HOLE | {"n_predict": 0, "stream": streaming})
    last = chunks(reply.body)[-1] if streaming else reply.json()
    assert (last["content"], last["tokens_predicted"], last["stop"]) == ("", 0, True)
    assert len(chunks(reply.body)) == int(streaming)
    assert model.requests[0].max_tokens == 1


def test_a_model_that_cannot_is_a_400(server: LiveServer, model: EchoModel) -> None:
    model.refuse = Unsupported("This model cannot fill in the middle.")
    for path, body in (
        ("/infill", HOLE),
        ("/infill", HOLE | {"stream": True}),
        ("/v1/completions", {"prompt": "a", "suffix": "b"}),
        ("/api/generate", {"prompt": "a", "suffix": "b"}),
    ):
        reply = server.post(path, body)
        assert reply.status == 400
        assert b"fill in the middle" in reply.body


def test_failure_in_mid_stream(server: LiveServer, model: EchoModel) -> None:
    model.fail_after = 1
    *_, last = chunks(server.post("/completion", {"prompt": "a b", "stream": True}).body)
    assert last["error"]["message"] == "scripted"


def test_hang_up_cancels(server: LiveServer, model: EchoModel) -> None:
    model.delay_s = 0.01
    sock = server.begin("/completion", {"prompt": "word " * 5000})
    wait_until(lambda: model.open == 1)
    sock.close()
    wait_until(lambda: model.cancelled == 1 and model.open == 0)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("/infill", {"input_prefix": "a"}),
    ("/infill", {"input_suffix": "a"}),
    ("/infill", HOLE | {"prompt": 7}),
    ("/infill", HOLE | {"input_extra": {}}),
    ("/infill", HOLE | {"input_extra": [{}]}),
    ("/infill", HOLE | {"input_extra": [{"filename": "ok"}]}),
    ("/infill", HOLE | {"input_extra": [{"filename": 123, "text": "abc"}]}),
    ("/infill", HOLE | {"n_predict": -2}),
    ("/infill", HOLE | {"n": 2}),
    ("/completion", {}),
    ("/completion", {"prompt": None}),
    ("/completion", {"prompt": "a", "logit_bias": [["x", "y"]]}),
    ("/completion", {"prompt": "a", "logit_bias": [["x"]]}),
    ("/completion", {"prompt": "a", "logit_bias": {str(i) + "x": 1 for i in range(300)}}),
    ("/completion", {"prompt": []}),
    ("/completion", {"prompt": [[]]}),
    ("/completion", {"prompt": [1, "a"]}),
    ("/completion", {"prompt": {"prompt_string": "a", "multimodal_data": ["x"]}}),
    ("/completion", {"prompt": "a", "n_probs": 1000}),
    ("/completion", {"prompt": "a", "temperature": -1}),
]


def test_wrong_bodies(server: LiveServer, model: EchoModel) -> None:
    for path, body in WRONG:
        reply = server.post(path, body)
        assert reply.status == 400, (path, body)
        assert reply.json()["error"]["message"]
    assert model.requests == []


class CountingModel(ContextModel):
    """One token a word of a hole's surroundings."""

    async def tokenize(self, input: Any, template_args: Any = None, tools: Any = ()) -> list[int]:
        assert isinstance(input, Infill)
        return list(range(sum(len(file.text.split()) for file in input.files or ()) + 10))

    async def stream(self, request: Any) -> Any:
        self.asked.append(request)
        async for event in super().stream(request.__class__(input=Prompt("x"))):
            yield event


def test_files_may_be_left_out_where_that_is_asked_for() -> None:
    double = CountingModel(context=100)
    extra = [{"text": "w " * 30, "filename": str(i)} for i in range(4)]
    with live_server(double) as server:
        data = json.dumps(HOLE | {"input_extra": extra}).encode()
        reply = server.ask("POST", "/infill", data, {"X-Edgellm-Truncation": "auto"})
    assert (reply.status, reply.headers["x-edgellm-truncated"]) == (200, "tokens=60, files=2")
    assert reply.json()["truncated"] is True
    assert [file.name for file in double.asked[0].input.files] == ["2", "3"]  # type: ignore[union-attr]


def test_addresses_without_a_version(server: LiveServer) -> None:
    said = server.post("/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})
    assert said.json()["object"] == "chat.completion"
    assert server.post("/responses", {"input": "hi"}).json()["object"] == "response"
    assert server.post("/completions", {"prompt": "hi"}).json()["content"] == "hi"
    assert server.ask("GET", "/models").json() == server.ask("GET", "/v1/models").json()
    assert server.post("/embeddings", {"input": "hi"}).status == server.post("/v1/embeddings", {"input": "hi"}).status
