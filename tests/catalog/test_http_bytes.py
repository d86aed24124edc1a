"""A file behind HTTP: ranges as they should be, and servers that do everything else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgellm.catalog import metadata
from edgellm.catalog.http_bytes import HttpBytes
from edgellm.errors import DownloadError, EdgeLLMError, ModelNotFound, NotAModel
from tests import tiny_model
from tests.doubles import gguf_file, range_server
from tests.doubles.range_server import RangeServer

DATA = bytes(number * 7 % 251 for number in range(300_000))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server.serving() as running:
        running.files["data"] = DATA
        yield running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def opened(server: RangeServer, name: str = "data", **options: float) -> HttpBytes:
    return HttpBytes(server.url(name), sleep=lambda seconds: None, **options)


@pytest.mark.parametrize(
    "mode",
    [
        range_server.RANGES,
        range_server.IGNORES,
        range_server.IGNORES_AND_CUTS_ONCE,
        range_server.CUTS,
        range_server.SMALL_PIECES,
        range_server.BUSY_ONCE,
        range_server.MORE,
    ],
)
def test_bytes_arrive_whatever_the_server_makes_of_a_range(server: RangeServer, mode: str) -> None:
    server.mode = mode
    with opened(server) as source:
        source.first_block = 5_000
        assert source.size == len(DATA)
        assert source.read(0, 1_000) == DATA[:1_000]
        assert source.read(20_000, 30_000) == DATA[20_000:50_000]
        assert source.read(200_000, 5_000) == DATA[200_000:205_000]
        assert source.read(7, 3) == DATA[7:10]
        assert source.read(len(DATA) - 5, 100) == DATA[-5:]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (range_server.ALWAYS_CUTS, "Check the network"),
        (range_server.WRONG_PLACE, "206"),
        (range_server.NO_TOTAL, "206"),
        (range_server.CHUNKED, "its size"),
        (range_server.CHANGES, "changed"),
        (range_server.LOOP, "redirects"),
        (range_server.AWAY, "protocol"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_with_the_reason(server: RangeServer, mode: str, words: str) -> None:
    server.mode = mode
    with opened(server) as source, pytest.raises(DownloadError, match=words) as caught:
        source.read(0, 1_000)
        source.read(100_000, 1_000)
    assert server.address in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, DownloadError, "token"),
        (403, DownloadError, "token"),
        (404, ModelNotFound, "no file"),
        (416, DownloadError, "shorter"),
        (418, DownloadError, "418"),
        (429, DownloadError, "429"),
        (500, DownloadError, "500"),
    ],
)
def test_a_status_becomes_our_error(server: RangeServer, status: int, error: type[EdgeLLMError], words: str) -> None:
    server.status = status
    with opened(server) as source, pytest.raises(error, match=words):
        source.read(0, 1_000)
    assert len(server.requests) == (4 if status in (429, 500) else 1)


def test_nobody_at_the_address(server: RangeServer) -> None:
    with HttpBytes("http://127.0.0.1:9/x", sleep=lambda seconds: None) as source, pytest.raises(DownloadError):
        source.read(0, 10)
    with HttpBytes("nonsense://x/y") as source, pytest.raises(DownloadError, match="address"):
        source.read(0, 10)
    with HttpBytes("no address at all") as source, pytest.raises(DownloadError, match="address"):
        source.read(0, 10)


def test_all_reads_together_have_a_limit_of_time(server: RangeServer) -> None:
    server.mode = range_server.SMALL_PIECES
    with opened(server, limit_s=0.0) as source, pytest.raises(DownloadError, match="slow"):
        source.read(0, 100_000)


def test_a_token_goes_to_its_own_server_and_not_where_that_redirects(server: RangeServer) -> None:
    with range_server.serving() as other:
        other.files["data"] = DATA
        server.elsewhere = other.address
        headers = {"authorization": "Bearer secret"}
        with HttpBytes(server.url("elsewhere/data"), headers) as source:
            assert source.read(0, 100) == DATA[:100]
        assert server.requests[0][1]["authorization"] == "Bearer secret"
        assert "authorization" not in other.requests[0][1]


def test_facts_from_afar_are_those_of_the_file(server: RangeServer, model: Path) -> None:
    server.files["model.gguf"] = model.read_bytes()
    for mode in (range_server.RANGES, range_server.IGNORES, range_server.CUTS):
        server.mode = mode
        assert metadata.facts_at(server.url("model.gguf?download=true")) == metadata.facts(model)
    assert server.requests[0][0] == "/model.gguf?download=true"


def test_only_the_header_is_fetched(server: RangeServer, tmp_path: Path) -> None:
    settings = {"general.architecture": "llama", "llama.block_count": 1}
    path = gguf_file.write(tmp_path / "m.gguf", settings, {"blk.0.attn_q.weight": ((4096, 2048), "F32")})
    server.files["m.gguf"] = path.read_bytes()
    assert metadata.facts_at(server.url("m.gguf")).weight_bytes == 4096 * 2048 * 4
    assert server.sent <= HttpBytes.first_block
    assert [headers["range"] for _, headers in server.requests] == [f"bytes=0-{HttpBytes.first_block - 1}"]


@pytest.mark.parametrize("mode", [range_server.SMALLER, range_server.IGNORES_AND_CUTS_ONCE])
def test_a_size_that_is_a_lie_is_no_crash(server: RangeServer, model: Path, mode: str) -> None:
    server.files["model.gguf"] = model.read_bytes()[: 2000 if mode != range_server.SMALLER else None]
    server.mode = mode
    with pytest.raises(NotAModel, match=r"cut off|ends at|such a file can hold"):
        metadata.facts_at(server.url("model.gguf"))


def test_a_page_instead_of_a_model(server: RangeServer) -> None:
    server.files["model.gguf"] = b"<!DOCTYPE html><html>Please log in</html>"
    with pytest.raises(NotAModel, match="not a GGUF file"):
        metadata.facts_at(server.url("model.gguf"))
    server.files["model.gguf"] = b""
    with pytest.raises(EdgeLLMError):
        metadata.facts_at(server.url("model.gguf"))


def test_a_larger_size_than_there_is_makes_no_endless_reading(server: RangeServer, model: Path) -> None:
    server.mode = range_server.LARGER
    server.files["model.gguf"] = model.read_bytes()[:3000]
    begun = time.monotonic()
    with pytest.raises(EdgeLLMError):
        metadata.facts_at(server.url("model.gguf"))
    assert len(server.requests) < 10 and time.monotonic() - begun < 60
