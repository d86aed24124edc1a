"""The running server is found while it lives and answers, and never otherwise; the first of two stays the one."""

from __future__ import annotations

import http.server
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from edgellm.runtime import instance
from edgellm.runtime.instance import Instance

FILE = Path("state") / "server.json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def answering() -> Iterator[str]:
    """The address of something that speaks HTTP."""

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def write(home: Path, known: Instance) -> Path:
    file = home / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(known))
    file.chmod(0o600)
    return file


@contextmanager
def another_process() -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def test_nobody_serves(home: Path) -> None:
    assert instance.find() is None


def test_the_server_is_found_until_it_leaves(home: Path) -> None:
    with answering() as url:
        with instance.claim(url, "secret") as other:
            assert other is None
            found = instance.find()
            assert found is not None and (found.url, found.token, found.pid) == (url, "secret", os.getpid())
            if os.name == "posix":
                assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
        assert instance.find() is None and not (home / FILE).exists()


def test_what_a_killed_server_left_is_nobody(home: Path) -> None:
    with answering() as url, another_process() as process:
        gone = Instance(url=url, token="t", pid=process.pid, created=process.create_time())
        write(home, gone)
        assert instance.find() == gone
        process.kill()
        process.wait()
        assert instance.find() is None
        with instance.claim(url, "mine") as other:
            assert other is None and instance.find() is not None


def test_a_process_that_has_the_number_of_another_is_nobody(home: Path) -> None:
    with answering() as url:
        write(home, Instance(url=url, token="t", pid=os.getpid(), created=1.0))
        assert instance.find() is None


def test_who_does_not_answer_is_nobody(home: Path) -> None:
    with answering() as url:
        pass
    own = psutil.Process()
    write(home, Instance(url=url, token="t", pid=own.pid, created=own.create_time()))
    assert instance.find() is None


def test_the_first_of_two_stays(home: Path) -> None:
    with answering() as url, another_process() as process:
        first = Instance(url=url, token="t", pid=process.pid, created=process.create_time())
        write(home, first)
        with instance.claim("http://127.0.0.1:9", "mine") as other:
            assert other == first
        assert instance.find() == first


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps a home to its user by other means")
def test_a_file_that_others_may_write_is_not_believed(home: Path) -> None:
    own = psutil.Process()
    with answering() as url:
        file = write(home, Instance(url=url, token="t", pid=own.pid, created=own.create_time()))
        assert instance.find() is not None
        file.chmod(0o666)
        assert instance.find() is None
        file.chmod(0o600)
        file.write_text("{not json")
        assert instance.find() is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5"),
        ("0.0.0.0", "http://127.0.0.1:5"),
        ("::", "http://[::1]:5"),
        ("10.0.0.7", "http://10.0.0.7:5"),
    ],
)
def test_where_this_machine_reaches_it(host: str, url: str) -> None:
    assert instance.here(host, 5) == url
