"""A local HTTP server for files, which speaks ranges as RFC 9110 has them, or misbehaves in a chosen way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

RANGES = "ranges"
IGNORES = "ignores ranges"
IGNORES_AND_CUTS_ONCE = "ignores ranges and breaks off once"
CUTS = "sends half of what it promised, every other time"
ALWAYS_CUTS = "promises and sends nothing"
SMALL_PIECES = "sends 1000 bytes at most"
SMALLER = "says that the file is smaller"
LARGER = "says that the file is larger"
WRONG_PLACE = "sends another range"
NO_TOTAL = "does not tell the size"
CHUNKED = "tells neither ranges nor size"
CHANGES = "has another file each time"
BUSY_ONCE = "is busy at first"
MORE = "sends more than asked"
LOOP = "redirects for ever"
AWAY = "redirects to a file"


class RangeServer:
    """What is served, how, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.mode = RANGES
        self.status = 0  # to answer everything with
        self.sent = 0  # bytes of files
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.address = ""
        self.elsewhere = ""  # where /elsewhere/PATH redirects to

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serving() -> Iterator[RangeServer]:
    state = RangeServer()
    server = _Server(("127.0.0.1", 0), type("_StatefulAnswer", (_Answer,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Readers hang up when they have enough; that is no news."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RangeServer
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        state, path = self.state, self.path.partition("?")[0].lstrip("/")
        state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if state.status or (state.mode == BUSY_ONCE and len(state.requests) == 1):
            self._empty(state.status or 503)
        elif (place := self._place(path)) is not None:
            self._redirect(place)
        elif path not in state.files:
            self._empty(404)
        else:
            self._send(state.files[path])

    def _place(self, path: str) -> str | None:
        """Where this request is redirected to."""
        if path.startswith("elsewhere/"):
            return f"{self.state.elsewhere}/{path.removeprefix('elsewhere/')}"
        return {LOOP: self.path, AWAY: "file:///etc/hostname"}.get(self.state.mode)

    def _send(self, data: bytes) -> None:
        mode = self.state.mode
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if asked is None or mode in (IGNORES, IGNORES_AND_CUTS_ONCE, CHUNKED):
            self._send_all(data)
            return
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(data))
        if start >= len(data):
            self._empty(416)
            return
        self._send_piece(data, start, min(end, start + 1000) if mode == SMALL_PIECES else end)

    def _send_piece(self, data: bytes, start: int, end: int) -> None:
        mode, count = self.state.mode, len(self.state.requests)
        total = {SMALLER: str(len(data) // 2), LARGER: str(2**50), NO_TOTAL: "*"}.get(mode, str(len(data)))
        place = start + 1 if mode == WRONG_PLACE else start
        piece = data[start:end] + (b"x" * 10**6 if mode == MORE else b"")
        self.send_response(206)
        self.send_header("content-length", str(len(piece)))
        self.send_header("content-range", f"bytes {place}-{end - 1}/{total}")
        self.send_header("etag", str(count) if mode == CHANGES else "same")
        self.end_headers()
        if mode == ALWAYS_CUTS or (mode == CUTS and count % 2):
            piece = piece[: len(piece) // 2 if mode == CUTS else 0]
            self.close_connection = True
        self._write(piece)

    def _send_all(self, data: bytes) -> None:
        mode = self.state.mode
        self.send_response(200)
        if mode == CHUNKED:
            self.close_connection = True
        else:
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        if mode == IGNORES_AND_CUTS_ONCE and len(self.state.requests) == 1:
            data = data[: len(data) // 3]
            self.close_connection = True
        self._write(data)

    def _write(self, data: bytes) -> None:
        for start in range(0, len(data), 2**14):
            self.wfile.write(data[start : start + 2**14])
            self.state.sent += len(data[start : start + 2**14])

    def _redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("location", place)
        self.send_header("content-length", "0")
        self.end_headers()

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
