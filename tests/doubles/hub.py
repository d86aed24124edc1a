"""`HubDouble`: a real HTTP server that speaks the model hub's protocol to `huggingface-hub`, faults included.

Its files of the LFS kind are served, as the hub does it, by another host (here: another name of this computer).
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

CHUNK = 16 << 10
LFS_FROM = 1000
"""Bytes from which on a file counts as large."""


@dataclass
class Fault:
    """What goes wrong with one answer: an HTTP status instead of it, a cut or silence after some bytes, no ranges."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int = -1
    stall_after: int = -1
    ignore_range: bool = False


@dataclass
class Repository:
    """Files by path, at one commit; with `token`, only who sends it gets in; `gated`, as one that has terms."""

    files: dict[str, bytes]
    token: str = ""
    gated: bool = False
    commit: str = ""

    def __post_init__(self) -> None:
        self.change(self.files)

    def change(self, files: dict[str, bytes]) -> None:
        self.files = files
        seed = repr(sorted((path, hashlib.sha256(data).hexdigest()) for path, data in files.items()))
        self.commit = hashlib.sha1(seed.encode()).hexdigest()


@dataclass
class Plain:
    """A file at `/files/<name>`, as any web server may have it."""

    data: bytes
    etag: str = '"first"'
    modified: str = ""
    tells_length: bool = True
    redirect: str = ""


@dataclass
class Request:
    method: str
    host: str
    path: str
    headers: dict[str, str]


class HubDouble:
    """`rate` is in bytes a second; `served` counts bytes of large and of plain files that went out."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.plain: dict[str, Plain] = {}
        self.file_faults: deque[Fault] = deque()
        self.api_faults: deque[Fault] = deque()
        self.requests: list[Request] = []
        self.served = 0
        self.rate = 0.0
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Conversation)
        self._server.double = self
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """Another host, as far as HTTP is concerned."""
        return f"http://localhost:{self.port}"

    def asked(self, start: str) -> list[Request]:
        return [request for request in self.requests if request.path.startswith(start)]

    def __enter__(self) -> HubDouble:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    double: HubDouble

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        # What a killed client had not read yet counts as served: keep that small.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the play."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Not into the output of the tests."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        double = self.server.double
        headers = {name.lower(): value for name, value in self.headers.items()}
        double.requests.append(Request(self.command, headers.get("host", ""), path, headers))
        if path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        elif path.startswith("/lfs/"):
            self._large(path.removeprefix("/lfs/"))
        elif path.startswith("/files/"):
            self._plain(path.removeprefix("/files/"))
        elif resolved := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*resolved.groups())
        else:
            self._say(404, {}, b"")

    def _api(self, place: str) -> None:
        if self._failed(self.server.double.api_faults):
            return
        name, _, revision = place.partition("/revision/")
        repository = self._repository(name, revision or "main")
        if repository is None:
            return
        siblings = [_sibling(path, data) for path, data in sorted(repository.files.items())]
        body = {"_id": "1", "id": name, "modelId": name, "sha": repository.commit, "siblings": siblings, "tags": []}
        self._say(200, {"content-type": "application/json"}, json.dumps(body).encode())

    def _repository(self, name: str, revision: str) -> Repository | None:
        repository = self.server.double.repositories.get(name)
        sent = self.headers.get("authorization", "").removeprefix("Bearer ")
        if repository is None or (repository.token and not repository.gated and sent != repository.token):
            status = 404 if sent else 401
            return self._refuse(status, "RepoNotFound", "Repository not found")
        if repository.gated and sent != repository.token:
            return self._refuse(403 if sent else 401, "GatedRepo", f"Access to model {name} is restricted.")
        if revision not in ("main", repository.commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._say(status, {"x-error-code": code, "x-error-message": message}, message.encode())

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name, revision)
        if repository is None:
            return
        data = repository.files.get(path)
        if data is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        headers = {"x-repo-commit": repository.commit}
        if len(data) < LFS_FROM:
            self._say(200, {**headers, "etag": f'"{git_sha1(data)}"'}, data)
            return
        digest = hashlib.sha256(data).hexdigest()
        headers |= {"x-linked-etag": f'"{digest}"', "x-linked-size": str(len(data)), "etag": f'"{digest}"'}
        self._say(302, {**headers, "location": f"{self.server.double.elsewhere}/lfs/{name}/{path}"}, b"")

    def _large(self, place: str) -> None:
        user, repository, path = place.split("/", 2)
        data = self.server.double.repositories[f"{user}/{repository}"].files[path]
        self._file(data, f'"{hashlib.md5(data).hexdigest()}"', "", True)

    def _plain(self, name: str) -> None:
        plain = self.server.double.plain.get(name)
        if plain is None:
            self._say(404, {}, b"no such file")
        elif plain.redirect:
            self._say(302, {"location": plain.redirect}, b"")
        else:
            self._file(plain.data, plain.etag, plain.modified, plain.tells_length)

    def _file(self, data: bytes, etag: str, modified: str, tells_length: bool) -> None:
        faults = self.server.double.file_faults
        fault = faults.popleft() if faults else Fault()
        if fault.status:
            self._say(fault.status, dict(fault.headers), b"out of order")
            return
        headers = {"etag": etag} if etag else {}
        headers |= {"last-modified": modified} if modified else {}
        start = self._start(len(data), etag, modified, fault)
        if start > len(data) - 1:
            self._say(416, {"content-range": f"bytes */{len(data)}"}, b"")
            return
        if start:
            headers["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(206 if start else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        if tells_length:
            self.send_header("content-length", str(len(data) - start))
        else:
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "GET":
            self._send(memoryview(data)[start:], fault)

    def _start(self, size: int, etag: str, modified: str, fault: Fault) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        if wanted is None or fault.ignore_range or not size:
            return 0
        condition = self.headers.get("if-range")
        return int(wanted[1]) if condition in (None, etag, modified) else 0

    def _send(self, data: memoryview, fault: Fault) -> None:
        double = self.server.double
        for spot in range(0, len(data), CHUNK):
            if 0 <= fault.cut_after <= spot:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if 0 <= fault.stall_after <= spot:
                double.closing.wait(60)
                self.close_connection = True
                return
            piece = data[spot : spot + CHUNK]
            self.wfile.write(piece)
            double.served += len(piece)
            if double.rate:
                time.sleep(len(piece) / double.rate)

    def _failed(self, faults: deque[Fault]) -> bool:
        if not faults:
            return False
        fault = faults.popleft()
        if fault.stall_after >= 0:
            self.server.double.closing.wait(60)
        else:
            self._say(fault.status, dict(fault.headers), b"{}")
        return True

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_sha1(data)}
    if len(data) >= LFS_FROM:
        sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return sibling


@contextmanager
def only_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A hub that is the only one for this process, its cache below `home`; nobody is logged in."""
    from huggingface_hub import close_session, constants

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with HubDouble() as double:
        values = {
            "ENDPOINT": double.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": double.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DOWNLOAD_TIMEOUT": 1,
        }
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value)
        yield double
        close_session()
