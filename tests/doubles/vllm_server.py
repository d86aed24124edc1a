"""`VllmServer`: a loopback stand-in for vLLM's server, which shapes its answers, errors and oddities as 0.32 does.

The first chunk has a role and no text; later ones hold several tokens each; a forced call ends with `stop`; errors have
whole numbers as codes; the key is asked for under /v1 only; counts come in a last chunk without choices.
"""

from __future__ import annotations

import http.server
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
CONTEXT = 64


class VllmServer:
    """Set its attributes to script it; read `bodies`, `running`, `cancelled` and `keys` afterwards.

    first_s:    before the first chunk; `pause_s` before each further one
    pings:      comments while it waits for the first one
    break_after: so many chunks of text, then the connection is cut
    refuse:     status, body and headers to answer with instead
    """

    def __init__(self, key: str = "", names: tuple[str, ...] = (NAME,)) -> None:
        self.key = key
        self.names = names
        self.first_s = self.pause_s = self.listing_s = 0.0
        self.pings = False
        self.break_after: int | None = None
        self.refuse: tuple[int, str, dict[str, str]] | None = None
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.running = self.cancelled = self.listed = 0
        self.url = ""

    def said(self, body: dict[str, Any]) -> list[str]:
        """The words of the answer."""
        if (wanted := body.get("response_format", {}).get("type")) in ("json_object", "json_schema"):
            return ['{"city"', ": ", '"Paris"', "}"]
        if "structured_outputs" in body:
            return ["aaa"]
        assert wanted is None
        return ["Hello", "there", "!", "It", "is", "good", "to", "see", "you", "."][: body.get("max_tokens") or None]


@contextmanager
def vllm_server(**options: Any) -> Iterator[VllmServer]:
    double = VllmServer(**options)

    class Answers(_Answers):
        server_double = double

    server = _Listening(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()


class _Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With the library's five, Linux answers many at once by SYN cookies, and resets some of them."""


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_double: VllmServer

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        double = self.server_double
        if self.path == "/metrics":
            self._reply(200, f'vllm:num_requests_running{{engine="0"}} {double.running:.1f}\n', "text/plain")
        elif self.path == "/v1/models" and self._let_in():
            double.listed += 1
            time.sleep(double.listing_s)
            models = [
                {"id": name, "object": "model", "owned_by": "vllm", "max_model_len": CONTEXT} for name in double.names
            ]
            self._reply(200, json.dumps({"object": "list", "data": models}))
        elif self.path == "/health":
            self._reply(200, "")

    def do_POST(self) -> None:
        double = self.server_double
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/tokenize":
            words = sum(len(each["content"].split()) for each in body.get("messages", ())) + len(
                body.get("prompt", "").split()
            )
            self._reply(200, json.dumps({"count": words, "max_model_len": CONTEXT, "tokens": list(range(words))}))
            return
        if not self._let_in():
            return
        double.bodies.append(body)
        if double.refuse is not None:
            status, text, headers = double.refuse
            self._reply(status, text, headers=headers)
        elif body["model"] not in double.names:
            self._error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        elif (asked := sum(len(str(each["content"]).split()) for each in body.get("messages", ()))) > CONTEXT:
            self._error(
                400,
                f"This model's maximum context length is {CONTEXT} tokens. However, your prompt has at least {asked} in"
                "put tokens, which exceeds this limit even without any output tokens.",
                "BadRequestError",
            )
        else:
            self._run(body)

    def _let_in(self) -> bool:
        given = self.headers.get("authorization", "")
        self.server_double.keys.append(given)
        if self.server_double.key and given != f"Bearer {self.server_double.key}":
            self._reply(401, '{"error":"Unauthorized"}')
            return False
        return True

    def _error(self, status: int, message: str, kind: str) -> None:
        self._reply(status, json.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}}))

    def _reply(
        self, status: int, text: str, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    # -- an answer ------------------------------------------------------------------------------------------------

    def _run(self, body: dict[str, Any]) -> None:
        double = self.server_double
        double.running += 1
        try:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._wait(double.first_s, pings=double.pings)
            for sent, chunk in enumerate(self._chunks(body)):
                if sent == double.break_after:
                    self._cut()
                    return
                self._line(f"data: {json.dumps(chunk)}\n\n")
                self._wait(double.pause_s)
            self._line("data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            double.cancelled += 1
            self.close_connection = True
        finally:
            double.running -= 1

    def _chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        choices = range(body.get("n") or 1)
        for index in choices:
            yield self._chunk(index, {"role": "assistant", "content": ""})
        words = 0
        for index in choices:
            for delta, scores in self._deltas(body):
                words += 1
                yield self._chunk(index, delta, scores)
            yield self._chunk(index, {}, None, self._reason(body))
        if body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": 31, "total_tokens": 31 + words, "completion_tokens": words}
            yield {"object": "chat.completion.chunk", "choices": [], "usage": usage}

    def _deltas(self, body: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
        if body.get("tool_choice", "auto") not in ("auto", "none"):
            call = {"id": "chatcmpl-tool-1", "type": "function", "index": 0, "function": {"name": "weather"}}
            yield {"content": None, "tool_calls": [call]}, None
            for piece in ('{"city"', ': "Paris"}'):
                yield {"content": None, "tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None
            return
        for i, word in enumerate(self.server_double.said(body)):
            text = word if i == 0 or "{" in word else f" {word}"
            entry = {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}
            entry["top_logprobs"] = [dict(entry)] * body.get("top_logprobs", 0)
            yield {"content": text}, {"content": [entry]} if body.get("logprobs") else None

    def _reason(self, body: dict[str, Any]) -> str:
        choice = body.get("tool_choice", "auto")
        if choice == "required":
            return "tool_calls"
        return "length" if choice == "auto" and len(self.server_double.said(body)) == body.get("max_tokens") else "stop"

    def _chunk(
        self, index: int, delta: dict[str, Any], scores: Any = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason, "stop_reason": None}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}

    def _line(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _wait(self, seconds: float, pings: bool = False) -> None:
        """Raises OSError as soon as the other side is gone."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            if select.select([self.connection], [], [], min(left, 0.02))[0] and not self.connection.recv(
                1, socket.MSG_PEEK
            ):
                raise ConnectionResetError("hung up")
            if not left:
                return
            if pings:
                self._line(": ping\n\n")

    def _cut(self) -> None:
        """As a process that was killed leaves its connections."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
